"""The timeline's geometry: lanes laid out into coordinates of an SVG that needs no style attribute and no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrations.interfaces.dashboard.presentation.durations import clock, roughly
from orchestrations.interfaces.dashboard.presentation.spans import Lane, Span

WIDTH = 1000.0
LABEL_WIDTH = 210.0
MARGIN = 16.0
AXIS_HEIGHT = 30.0
ROW_HEIGHT = 28.0
BAR_HEIGHT = 16.0
NOTE_ROOM = 150.0  # for the words beside a folded row's bar
LEAST_WIDTH = 2.0  # of a span, so that none is invisible
POINT_SIZE = 6.0
IDLE_SHARE = 0.2  # of the whole from which an idle gap is shrunk
IDLE_WIDTH = 44.0
INSET_SHARE = 0.04  # of the busy time that stays visible at both ends of an idle gap
TICKS = 6
CHARACTER_WIDTH = 7.0  # of the words above the axis, about
WORDS_APART = 14.0
TICK_ROOM = 60.0  # of the words of a line of the grid, at least
LABEL_CHARACTERS = 27
MINUTE, HOUR, DAY = 60, 3600, 86_400
STEPS_SECONDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 30 * DAY),
)
BUSY = ("ran", "queued", "point")


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, or with ``points`` a diamond; one of what was queued is ``hatched``."""

    css: str
    x: str
    y: str
    width: str
    height: str
    points: str = ""
    hatched: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One lane: its label and bars, and the sequence of the event that it opens. ``key`` is its id on the page."""

    key: str

    label: str
    description: str
    sequence: int | None
    y: str
    text_y: str
    bars: list[Bar]
    note: str = ""
    note_x: str = ""
    note_place: str = "beside"


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid with its words; ``width`` is set for an idle band."""

    x: str
    label: str
    width: str = ""
    text_x: str = ""


@dataclass(slots=True)
class Timeline:
    """Everything that the template prints. ``viewbox`` numbers are in SVG user units."""

    height: str
    rows: list[Row]
    ticks: list[Tick]
    idle: list[Tick]
    grid_top: str = f"{AXIS_HEIGHT:g}"
    row_height: str = f"{ROW_HEIGHT:g}"
    width: str = f"{WIDTH:g}"
    label_x: str = f"{MARGIN / 2:g}"
    began: datetime | None = field(default=None)


class Scale:
    """Maps instants to x, with idle stretches shrunk to a fixed width."""

    def __init__(self, start: datetime, end: datetime, idle: Sequence[tuple[datetime, datetime]]) -> None:
        self.start = start
        self.idle = list(idle)
        busy = (end - start).total_seconds() - sum((b - a).total_seconds() for a, b in self.idle)
        room = WIDTH - LABEL_WIDTH - MARGIN - IDLE_WIDTH * len(self.idle)
        self.per_second = room / busy if busy > 0 else 0.0

    def x(self, instant: datetime) -> float:
        """The x of an instant between start and end."""
        seconds, shrunk = max((instant - self.start).total_seconds(), 0.0), 0.0
        for begin, end in self.idle:
            if instant <= begin:
                break
            inside = (min(instant, end) - begin).total_seconds()
            seconds -= inside
            shrunk += IDLE_WIDTH * inside / (end - begin).total_seconds()
        return LABEL_WIDTH + seconds * self.per_second + shrunk


def lay_out(lanes: Sequence[Lane], now: datetime) -> Timeline:
    """The timeline of ``lanes``, of which the first is the whole instance; open spans end at ``now``."""
    start = min(lane.start for lane in lanes)
    end = max(max((span.end or now) for lane in lanes for span in lane.spans), start + timedelta(milliseconds=1))
    idle = _idle_stretches(lanes[1:], start, end, now)
    scale = Scale(start, end, idle)
    ticks, bands = _axis(scale, start, end, idle, clock(start, now))
    return Timeline(
        height=f"{AXIS_HEIGHT + ROW_HEIGHT * len(lanes) + MARGIN / 2:g}",
        rows=[_row(lane, index, scale, now) for index, lane in enumerate(lanes)],
        ticks=ticks,
        idle=bands,
        began=start,
    )


def _idle_stretches(
    lanes: Sequence[Lane], start: datetime, end: datetime, now: datetime
) -> list[tuple[datetime, datetime]]:
    """Gaps in which nothing ran that are longer than their share; waiting is idle."""
    threshold = (end - start) * IDLE_SHARE
    busy = sorted((span.start, span.end or now) for lane in lanes for span in lane.spans if span.part in BUSY)
    gaps: list[tuple[datetime, datetime]] = []
    reached = start
    for begin, until in [*busy, (end, end)]:
        if busy and begin - reached > threshold:
            gaps.append((reached, begin))
        reached = max(reached, until)
    inset = (end - start - sum((until - begin for begin, until in gaps), timedelta())) * INSET_SHARE
    return [(begin + inset, until - inset) for begin, until in gaps if until - begin > inset * 3]


def _row(lane: Lane, index: int, scale: Scale, now: datetime) -> Row:
    top = AXIS_HEIGHT + ROW_HEIGHT * index
    label = lane.label if len(lane.label) <= LABEL_CHARACTERS else f"{lane.label[: LABEL_CHARACTERS - 1]}…"
    description = lane.description(now)
    if label != lane.label:  # the accessible name begins with what is seen
        description = f"{label}, {description}"
    right = max(scale.x(span.end or now) for span in lane.spans)
    left = min(scale.x(span.start) for span in lane.spans)
    note_x, note_place = _beside(left, right, is_open=any(span.end is None for span in lane.spans))
    return Row(
        key=f"t{lane.sequence}" if lane.sequence else f"w{index}",
        label=label,
        description=description,
        sequence=lane.sequence,
        y=_units(top),
        text_y=_units(top + ROW_HEIGHT / 2 + 4.5),
        bars=[_bar(span, top, scale, now) for span in lane.spans],
        note=lane.state if lane.folded > 1 else "",
        note_x=_units(note_x),
        note_place=note_place,
    )


def _beside(left: float, right: float, *, is_open: bool) -> tuple[float, str]:
    """Where words about a bar fit: behind it, before it, or on it."""
    if right <= WIDTH - NOTE_ROOM:
        return right + 8, "beside"
    if left - NOTE_ROOM > LABEL_WIDTH:
        return left - NOTE_ROOM, "beside"
    return left + 8, "on-open" if is_open else "on-bar"


def _bar(span: Span, top: float, scale: Scale, now: datetime) -> Bar:
    left, right = scale.x(span.start), scale.x(span.end or now)
    middle = top + ROW_HEIGHT / 2
    shape = {"queued": " queued", "backoff": " backoff", "wait": " open"}.get(span.part, "" if span.end else " open")
    css = f"span{shape} is-{span.kind}"
    if span.part == "point":
        corners = [(left + x * POINT_SIZE, middle + y * POINT_SIZE) for x, y in ((0, -1), (1, 0), (0, 1), (-1, 0))]
        return Bar(css, "", "", "", "", " ".join(f"{x:.1f},{y:.1f}" for x, y in corners))
    height = BAR_HEIGHT / 2 if span.part == "backoff" else BAR_HEIGHT
    width = max(right - left, LEAST_WIDTH)
    is_queued = span.part == "queued"
    return Bar(css, _units(left), _units(middle - height / 2), _units(width), _units(height), hatched=is_queued)


def _axis(
    scale: Scale, start: datetime, end: datetime, idle: Sequence[tuple[datetime, datetime]], began: str
) -> tuple[list[Tick], list[Tick]]:
    """The grid, and the idle bands: words above both that stay apart. The beginning has its time, lines offsets."""
    ticks = [Tick(_units(LABEL_WIDTH), began)]
    reached = LABEL_WIDTH + _words_width(began) + WORDS_APART
    bands, words = [], [(LABEL_WIDTH, reached)]
    for begin, until in idle:
        left, right, label = scale.x(begin), scale.x(until), roughly(until - begin)
        half = _words_width(label) / 2
        middle = max((left + right) / 2, reached + half)
        reached = middle + half + WORDS_APART
        bands.append(Tick(_units(left), label, _units(right - left), _units(middle)))
        words.append((min(left, middle - half), max(right, reached)))
    step = _step(start, end, idle)
    for count in range(1, int(min((end - start).total_seconds() / step, TICKS * 400)) + 1):
        offset = timedelta(seconds=step * count)
        x, label = scale.x(start + offset), f"+{_offset(offset, step)}"
        after = x + _words_width(label) + WORDS_APART
        if x > WIDTH - TICK_ROOM or any(x < right and left < after for left, right in words):
            continue
        ticks.append(Tick(_units(x), label))
        words.append((x, max(after, x + TICK_ROOM)))
    return ticks, bands


def _step(start: datetime, end: datetime, idle: Sequence[tuple[datetime, datetime]]) -> float:
    """The seconds between lines, a round number, of which about TICKS fit into what is not idle."""
    shrunk = sum(((b - a) for a, b in idle), timedelta())
    span = (end - start - shrunk).total_seconds()
    return next((step for step in STEPS_SECONDS if span / step <= TICKS), STEPS_SECONDS[-1])


def _words_width(words: str) -> float:
    return CHARACTER_WIDTH * len(words)


def _offset(offset: timedelta, step: float) -> str:
    """The distance in as many units and decimals as tell it from those a step away."""
    minutes, seconds = divmod(offset.total_seconds(), MINUTE)
    days, minutes = divmod(int(minutes), DAY // MINUTE)
    hours, minutes = divmod(minutes, HOUR // MINUTE)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if count]
    decimals = max(math.ceil(-math.log10(step)), 0)
    exact = f"{seconds:.{decimals}f}"
    if float(exact) or not parts:
        parts.append(f"{exact.rstrip('0').rstrip('.') if decimals else exact} s")
    return " ".join(parts)


def _units(value: float) -> str:
    """A coordinate with one decimal, a point whatever the locale."""
    return f"{value:.1f}"
