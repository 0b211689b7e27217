"""History events gathered into the spans that a timeline draws: one row per task, with its attempts in it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.presentation.durations import duration, parse_instant
from orchestrations.interfaces.dashboard.presentation.waits import Wait
from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance

FOLD_FROM = 25  # like tasks of one episode from which they are drawn as one


@dataclass(slots=True)
class Span:
    """A part of a row. ``end`` None means that it is still open; ``part`` is ran, queued, backoff, wait or point."""

    kind: str
    part: str
    start: datetime
    end: datetime | None


@dataclass(slots=True)
class Lane:
    """One row of the timeline; ``sequence`` is the history event that it links to."""

    label: str
    state: str
    spans: list[Span] = field(default_factory=list)
    sequence: int | None = None
    folded: int = 1
    task_id: int | None = None
    last_sequence: int | None = None
    """Of the event that ended it."""

    @property
    def is_open(self) -> bool:
        """Whether a part of it goes on."""
        return any(span.end is None for span in self.spans)

    @property
    def start(self) -> datetime:
        """When its first part began."""
        return min(span.start for span in self.spans)

    def description(self, now: datetime) -> str:
        """Its accessible name, beginning with the visible label."""
        ends = [span.end or now for span in self.spans]
        return f"{self.label}, {self.state}, {duration(max(ends) - self.start)}"


SCHEDULED = frozenset(
    {
        EventType.TASK_SCHEDULED,
        EventType.SUB_ORCHESTRATION_CREATED,
        EventType.ENTITY_CALLED,
        EventType.ENTITY_LOCK_REQUESTED,
    }
)
SUCCEEDED = {
    EventType.TASK_COMPLETED: "completed",
    EventType.SUB_ORCHESTRATION_COMPLETED: "completed",
    EventType.ENTITY_COMPLETED: "completed",
    EventType.ENTITY_LOCK_GRANTED: "granted",
}
FAILED = frozenset({EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED, EventType.ENTITY_FAILED})
ENDS = frozenset({*SUCCEEDED, *FAILED, EventType.TIMER_FIRED})
KINDS = {event_type.value: event_type for event_type in EventType}

POINTS = {
    EventType.EVENT_RAISED: ("waiting", "raised"),
    EventType.EVENT_SENT: ("continued", "sent"),
    EventType.ENTITY_SIGNALED: ("continued", "signaled"),
    EventType.PATCH_APPLIED: ("pending", "patch applied"),
    EventType.EXECUTION_REWOUND: ("continued", "rewound"),
    EventType.EXECUTION_FORKED: ("continued", "forked"),
    EventType.EXECUTION_TERMINATED: ("terminated", "terminated"),
}
"""What takes no time: its colour, and the word for it."""

EVENTS = ("Human", "ExternalEvent")  # kinds of waits that no history event tells of
LEFT_BEHIND = "left behind"  # the state of what was open when the instance ended
LOCKS = frozenset({EventType.ENTITY_LOCK_REQUESTED.value, EventType.ENTITY_LOCK_GRANTED.value})
CONTROL = {
    EventType.EXECUTION_REWOUND: "rewind",
    EventType.EXECUTION_FORKED: "fork",
    EventType.EXECUTION_TERMINATED: "termination",
}


class _Gatherer:
    """Reads events in order; ``lanes`` keeps the order in which tasks were decided."""

    def __init__(self, started: dict[int, datetime]) -> None:
        self.lanes: dict[object, Lane] = {}
        self.started = started

    def read(self, event: HistoryEvent) -> None:
        kind = KINDS.get(event.type)
        if kind in SCHEDULED:
            self._schedule(event)
        elif kind in SUCCEEDED:
            self._finish(event, SUCCEEDED[kind])
        elif kind in FAILED:
            self._finish(event, "failed")
        elif kind is EventType.TIMER_CREATED:
            self._create_timer(event)
        elif kind is EventType.TIMER_FIRED:
            self._fire_timer(event)
        elif kind in POINTS:
            self._point(event)
        elif kind is EventType.EXECUTION_SUSPENDED:
            self._suspend(event)
        elif kind is EventType.EXECUTION_RESUMED:
            self._resume(event)

    def _schedule(self, event: HistoryEvent) -> None:
        lane = self.lanes.setdefault(event.task_id, self._lane(event, _label(event), "running"))
        lane.state = "running" if event.attempt == 1 else f"running, attempt {event.attempt}"
        began = self.started.get(event.task_id or 0)
        if event.type == EventType.TASK_SCHEDULED and began is None:
            lane.spans.append(Span("running", "queued", event.timestamp, None))
            lane.state = lane.state.replace("running", "queued")
            return
        if began and began > event.timestamp:
            lane.spans.append(Span("running", "queued", event.timestamp, began))
        lane.spans.append(Span("running", "wait" if began is None else "ran", began or event.timestamp, None))

    def _finish(self, event: HistoryEvent, state: str) -> None:
        lane = self.lanes.get(event.task_id)
        began = parse_instant(attributes(event).get("started_at"))
        if lane is None:  # it was scheduled before the window
            lane = self.lanes[event.task_id] = self._lane(event, _label(event), state)
            lane.last_sequence = event.sequence
            kind = "failed" if state == "failed" else "completed"
            lane.spans.append(Span(kind, "ran", min(began or event.timestamp, event.timestamp), event.timestamp))
            return
        lane.last_sequence = event.sequence
        open_spans = [span for span in lane.spans if span.end is None]
        scheduled = min((span.start for span in open_spans), default=event.timestamp)
        lane.spans = [span for span in lane.spans if span.end is not None]
        kind = "failed" if state == "failed" else "completed"
        if began and began > scheduled:
            lane.spans.append(Span(kind, "queued", scheduled, min(began, event.timestamp)))
        part = "wait" if state == "granted" else "ran"
        lane.spans.append(Span(kind, part, min(began or scheduled, event.timestamp), event.timestamp))
        lane.state = state if event.attempt == 1 else f"{state} at attempt {event.attempt}"

    def _lane(self, event: HistoryEvent, label: str, state: str) -> Lane:
        return Lane(label, state, sequence=event.sequence, task_id=event.task_id)

    def _create_timer(self, event: HistoryEvent) -> None:
        lane = self.lanes.get(event.task_id)
        if lane is not None:  # the back-off of a retry
            lane.spans.append(Span("failed", "backoff", event.timestamp, None))
            lane.state = "waiting to be tried again"
            return
        lane = self._lane(event, event.name or "timer", "waiting")
        lane.spans.append(Span("pending", "wait", event.timestamp, None))
        self.lanes[event.task_id] = lane

    def _fire_timer(self, event: HistoryEvent) -> None:
        lane = self.lanes.get(event.task_id)
        if lane is None:
            return
        lane.last_sequence = event.sequence
        for span in lane.spans:
            span.end = span.end or event.timestamp
        if lane.spans[-1].part == "wait":
            lane.state = "fired"
            lane.spans.append(Span("pending", "point", event.timestamp, event.timestamp))

    def _point(self, event: HistoryEvent) -> None:
        kind, word = POINTS[EventType(event.type)]
        by = attributes(event).get("by")
        lane = self._lane(event, CONTROL.get(EventType(event.type)) or event.name or "event", word)
        lane.state += f" by {by}" if by else ""
        lane.spans.append(Span(kind, "point", event.timestamp, event.timestamp))
        self.lanes[("event", event.sequence)] = lane

    def _suspend(self, event: HistoryEvent) -> None:
        lane = self._lane(event, "suspended", "until it is resumed")
        lane.spans.append(Span("suspended", "wait", event.timestamp, None))
        self.lanes["suspended", event.sequence] = lane

    def _resume(self, event: HistoryEvent) -> None:
        for lane in self.lanes.values():
            if lane.label == "suspended" and lane.is_open and lane.task_id is None:
                lane.spans[-1].end, lane.state, lane.last_sequence = event.timestamp, "resumed", event.sequence


def gather(events: Iterable[HistoryEvent], started: dict[int, datetime]) -> list[Lane]:
    """The tasks, events and marks of history events in order, a lane each.

    ``started`` says when activities that still run began, by task id.
    """
    gatherer = _Gatherer(started)
    for event in events:
        gatherer.read(event)
    return list(gatherer.lanes.values())


def end_at(lanes: Iterable[Lane], ends: Iterable[HistoryEvent]) -> None:
    """End tasks that are open at the end of a window by what came later."""
    gatherer = _Gatherer({})
    gatherer.lanes = {  # by task id, as the events tell
        lane.task_id: lane for lane in lanes if lane.task_id is not None and lane.is_open
    }
    for event in ends:
        if event.task_id in gatherer.lanes:
            gatherer.read(event)


def open_waits(waits: Iterable[Wait], items: Iterable[ActivityWorkItem], known: Collection[int]) -> list[Lane]:
    """What is open without one of the events read: external events that are waited for, and tasks from long ago.

    ``known`` has the tasks that the events told of.
    """
    lanes = [_item(item) for item in items if item.task_id not in known]
    told = {*known, *(lane.task_id for lane in lanes)}
    for wait in waits:
        if wait.since is None or (wait.kind not in EVENTS and wait.task_id in told):
            continue
        kind = "waiting" if wait.kind == "Human" else "pending" if wait.kind == "Timer" else "running"
        lanes.append(Lane(wait.name or wait.kind.lower(), "waiting", [Span(kind, "wait", wait.since, None)]))
    return lanes


def _item(item: ActivityWorkItem) -> Lane:
    lane = Lane(item.name, "running" if item.started_at else "queued", sequence=item.sequence, task_id=item.task_id)
    lane.spans.append(Span("running", "queued", item.scheduled_at, item.started_at))
    if item.started_at is not None:
        lane.spans.append(Span("running", "ran", item.started_at, None))
    return lane


def root(instance: Instance, since: datetime | None = None, until: datetime | None = None) -> Lane:
    """The lane of the instance itself, or its part between two instants."""
    began = instance.started_at or instance.created_at
    kind = {"Pending": "pending", "ContinuedAsNew": "continued"}.get(instance.status, instance.status.lower())
    label = instance.name if instance.execution == 1 else f"{instance.name} (execution {instance.execution})"
    lane = Lane(label, instance.status.lower())
    ready = instance.scheduled_start_at or instance.created_at
    if since is None and instance.execution == 1 and instance.started_at and instance.started_at > ready:
        lane.spans.append(Span(kind, "queued", ready, instance.started_at))
    end = until or instance.completed_at
    lane.spans.append(Span(kind, "ran" if end else "wait", since or began, end))
    return lane


def attributes(event: HistoryEvent | InboxMessage) -> dict[str, object]:
    """What only this type of event has; empty where nothing readable is stored."""
    try:
        value = json.loads(event.attributes or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def close(lanes: list[Lane], at: datetime) -> None:
    """Ends what was still open when the instance ended; such tasks have no outcome."""
    for lane in lanes:
        for span in lane.spans:
            if span.end is None:
                span.end, span.kind, lane.state = max(at, span.start), "pending", LEFT_BEHIND


def fold(lanes: list[Lane]) -> list[Lane]:
    """The lanes with like tasks of one episode, where there are many, drawn as one in the place of the first."""
    groups: dict[tuple[str, datetime], list[Lane]] = {}
    for lane in lanes:
        if lane.task_id is not None:
            groups.setdefault((lane.label, lane.start), []).append(lane)
    folded: list[Lane] = []
    for lane in lanes:
        group = groups.get((lane.label, lane.start), [lane]) if lane.task_id is not None else [lane]
        if len(group) < FOLD_FROM:
            folded.append(lane)
        elif lane is group[0]:
            folded.append(_folded(group))
    return folded


def _folded(run: list[Lane]) -> Lane:
    spans = [span for lane in run for span in lane.spans]
    failed = sum(lane.state.startswith("failed") for lane in run)
    still_open = sum(lane.is_open for lane in run)
    left = sum(lane.state == LEFT_BEHIND for lane in run)
    counts = {"ok": len(run) - failed - still_open - left, "failed": failed, "open": still_open, LEFT_BEHIND: left}
    start = min(span.start for span in spans)
    end = None if still_open else max(span.end for span in spans if span.end)
    kind = "failed" if failed else "running" if still_open else "pending" if left else "completed"
    part = "point" if all(span.part == "point" for span in spans) else "ran" if end else "wait"
    return Lane(
        f"{run[0].label} ×{len(run)}",
        ", ".join(f"{count} {word}" for word, count in counts.items() if count),
        [Span(kind, part, start, end)],
        run[0].sequence,
        len(run),
        last_sequence=max((lane.last_sequence or 0 for lane in run), default=0) or None,
    )


def _label(event: HistoryEvent) -> str:
    if event.type in LOCKS:
        entities = attributes(event).get("entities")
        names = ", ".join(str(name) for name in entities) if isinstance(entities, list) else ""
        return f"lock of {names}" if names else "lock"
    return event.name or "task"
