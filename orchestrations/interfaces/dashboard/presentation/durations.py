"""Spans of time and instants in words, the same on the server and in ``clocks.js``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone

SECONDS_PER_DAY = 86_400
ISO_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")


def duration(span: timedelta) -> str:
    """A measured span: ``340 ms``, ``2.3 s``, ``00:27:14`` or ``2 d 02:11:09``; never negative."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    days, rest = divmod(int(seconds), SECONDS_PER_DAY)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def roughly(span: timedelta) -> str:
    """A span as people say it, by its two largest units: ``1 h 12 m``, ``3 d 4 h``, ``40 s``; never negative."""
    seconds = max(round(span.total_seconds()), 0)
    units = (("d", SECONDS_PER_DAY), ("h", 3600), ("m", 60), ("s", 1))
    for index, (unit, size) in enumerate(units):
        if seconds >= size:
            count, rest = divmod(seconds, size)
            if index + 1 == len(units) or not rest // units[index + 1][1]:
                return f"{count} {unit}"
            smaller, smaller_size = units[index + 1]
            return f"{count} {unit} {rest // smaller_size} {smaller}"
    return "0 s"


def clock(instant: datetime, now: datetime) -> str:
    """The reader's time of day, with the date where it is not today: ``12:04:11`` or ``2026-01-20 12:04:11``."""
    instant = timezone.localtime(instant)
    is_today = instant.date() == timezone.localtime(now).date()
    return f"{instant:%H:%M:%S}" if is_today else f"{instant:%Y-%m-%d %H:%M:%S}"


def short_clock(instant: datetime, now: datetime) -> str:
    """The same for a column: ``12:04:11`` today, ``Jan 20, 12:04`` in this year, ``2025-01-20 12:04`` before."""
    instant, now = timezone.localtime(instant), timezone.localtime(now)
    if instant.date() == now.date():
        return f"{instant:%H:%M:%S}"
    return f"{instant:%b} {instant.day}, {instant:%H:%M}" if instant.year == now.year else f"{instant:%Y-%m-%d %H:%M}"


def distance(instant: datetime, now: datetime) -> str:
    """How far off an instant is: ``in 1 h 12 m`` or ``5 m ago``."""
    return f"in {roughly(instant - now)}" if instant > now else f"{roughly(now - instant)} ago"


def spoken(text: str, now: datetime) -> str:
    """A line of the engine's with its ISO instants as people read them."""
    return ISO_INSTANT.sub(lambda found: clock(datetime.fromisoformat(found[0]), now), text)


def parse_instant(value: object) -> datetime | None:
    """The instant in ISO form, aware; None for anything else, for stored text is data from elsewhere."""
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
