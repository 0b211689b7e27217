"""Points in time as people type them into a query: a date, an instant, or so long ago."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
AGO = re.compile(r"-(\d{1,5})([mhdw])")
ABSOLUTE = re.compile(
    r"(?P<date>[12]\d{3}-\d\d-\d\d)(?:T(?P<time>\d\d:\d\d)(?P<seconds>:\d\d(?:\.\d{1,6})?)?)?(?P<zone>Z|[+-]\d\d:\d\d)?"
)


@dataclass(frozen=True, slots=True)
class Ago:
    """So long before now, whenever that is: a link with it stays what it says."""

    span: timedelta

    def __str__(self) -> str:
        for unit in ("w", "d", "h"):
            if not self.span % UNITS[unit]:
                return f"-{self.span // UNITS[unit]}{unit}"
        return f"-{self.span // UNITS['m']}m"


Moment = datetime | Ago
"""Instants are aware."""


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` on, up to but without ``end``; None is no bound."""

    start: Moment | None = None
    end: Moment | None = None

    def __bool__(self) -> bool:
        return self.start is not None or self.end is not None

    @property
    def is_empty(self) -> bool:
        """Whether its end is before its start; of an instant and an ``Ago`` that depends on the day."""
        if isinstance(self.start, Ago) and isinstance(self.end, Ago):
            return self.start.span <= self.end.span
        if isinstance(self.start, datetime) and isinstance(self.end, datetime):
            return self.end <= self.start
        return False

    def at(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Both bounds as instants."""
        return _at(self.start, now), _at(self.end, now)


ANY_TIME = Span()


@dataclass(frozen=True, slots=True)
class Typed:
    """What a text stands for: its first moment, and the first after it (of a date: the next midnight)."""

    first: Moment
    after: Moment


def read(text: str, zone: tzinfo) -> Typed | None:
    """The moment that is written there, in ``zone`` where the text names none; None for a text that is none."""
    if ago := AGO.fullmatch(text):
        span = int(ago[1]) * UNITS[ago[2]]
        return Typed(Ago(span), Ago(span)) if span else None
    found = ABSOLUTE.fullmatch(text)
    if not found:
        return None
    try:
        given = f"{found['date']}T{found['time'] or '00:00'}{found['seconds'] or ''}{found['zone'] or ''}"
        first = datetime.fromisoformat(given)
        first = first if found["zone"] else first.replace(tzinfo=zone)
        return Typed(first.astimezone(UTC), (first + _precision(found)).astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def write(moment: Moment, zone: tzinfo | None) -> str:
    """The shortest text that ``read`` takes for the moment: in ``zone``, or with the zone in it where that is None."""
    if isinstance(moment, Ago):
        return str(moment)
    if zone is not None:
        local = moment.astimezone(zone)
        text = _shortest(local.replace(tzinfo=None))
        again = read(text, zone)
        if again is not None and again.first == moment:
            return text
        return local.isoformat(timespec="auto" if local.microsecond else "seconds")  # an hour that occurs twice
    local = moment.astimezone(UTC).replace(tzinfo=None)
    text = _shortest(local)
    return f"{text}Z" if "T" in text else f"{text}T00:00Z"


def _at(moment: Moment | None, now: datetime) -> datetime | None:
    return now - moment.span if isinstance(moment, Ago) else moment


def _precision(found: re.Match[str]) -> timedelta:
    if not found["time"]:
        return timedelta(days=1)
    if not found["seconds"]:
        return timedelta(minutes=1)
    return timedelta(microseconds=1) if "." in found["seconds"] else timedelta(seconds=1)


def _shortest(local: datetime) -> str:
    if local.microsecond:
        return local.isoformat(timespec="microseconds")
    if local.second:
        return local.isoformat(timespec="seconds")
    return local.isoformat(timespec="minutes") if local.hour or local.minute else local.date().isoformat()
