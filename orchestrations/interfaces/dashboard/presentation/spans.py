"""History events gathered into the spans that a timeline draws: one row per task, with its attempts in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.presentation.durations import duration, parse_instant
from orchestrations.interfaces.dashboard.presentation.waits import Wait
from orchestrations.models import HistoryEvent, InboxMessage, Instance

FOLD_FROM = 10  # like siblings in a row from which they are drawn as one


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

    @property
    def start(self) -> datetime:
        """When its first part began."""
        return min(span.start for span in self.spans)

    def description(self, now: datetime) -> str:
        """Its accessible name, beginning with the visible label."""
        ends = [span.end or now for span in self.spans]
        return f"{self.label}, {self.state}, {duration(max(ends) - self.start)}"


SCHEDULED = {EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_CREATED, EventType.ENTITY_CALLED}
SUCCEEDED = {EventType.TASK_COMPLETED, EventType.SUB_ORCHESTRATION_COMPLETED, EventType.ENTITY_COMPLETED}
FAILED = {EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED, EventType.ENTITY_FAILED}


class _Gatherer:
    """Reads events in order; ``lanes`` keeps the order in which tasks were decided."""

    def __init__(self, started: dict[int, datetime]) -> None:
        self.lanes: dict[object, Lane] = {}
        self.started = started

    def read(self, event: HistoryEvent) -> None:
        kind = EventType(event.type)
        if kind in SCHEDULED:
            self._schedule(event)
        elif kind in SUCCEEDED:
            self._finish(event, "completed")
        elif kind in FAILED:
            self._finish(event, "failed")
        elif kind is EventType.TIMER_CREATED:
            self._create_timer(event)
        elif kind is EventType.TIMER_FIRED:
            self._fire_timer(event)
        elif kind in (EventType.EVENT_RAISED, EventType.EVENT_SENT):
            self._point(event)

    def _schedule(self, event: HistoryEvent) -> None:
        lane = self.lanes.setdefault(event.task_id, Lane(event.name or "task", "running", sequence=event.sequence))
        lane.state = "running" if event.attempt == 1 else f"running, attempt {event.attempt}"
        began = self.started.get(event.task_id or 0)
        if event.type == EventType.TASK_SCHEDULED and began is None:
            lane.spans.append(Span("running", "queued", event.timestamp, None))
            return
        if began and began > event.timestamp:
            lane.spans.append(Span("running", "queued", event.timestamp, began))
        lane.spans.append(Span("running", "wait" if began is None else "ran", began or event.timestamp, None))

    def _finish(self, event: HistoryEvent, state: str) -> None:
        lane = self.lanes.get(event.task_id)
        if lane is None:
            lane = self.lanes[event.task_id] = Lane(event.name or "task", state, sequence=event.sequence)
            lane.spans.append(Span(state, "ran", event.timestamp, event.timestamp))
            return
        began = parse_instant(attributes(event).get("started_at"))
        open_spans = [span for span in lane.spans if span.end is None]
        scheduled = min((span.start for span in open_spans), default=event.timestamp)
        lane.spans = [span for span in lane.spans if span.end is not None]
        if began and began > scheduled:
            lane.spans.append(Span(state, "queued", scheduled, min(began, event.timestamp)))
        lane.spans.append(Span(state, "ran", min(began or scheduled, event.timestamp), event.timestamp))
        lane.state = state if event.attempt == 1 else f"{state} at attempt {event.attempt}"

    def _create_timer(self, event: HistoryEvent) -> None:
        lane = self.lanes.get(event.task_id)
        if lane is not None:  # the back-off of a retry
            lane.spans.append(Span("failed", "backoff", event.timestamp, None))
            lane.state = "waiting to be tried again"
            return
        lane = Lane(event.name or "timer", "waiting", sequence=event.sequence)
        lane.spans.append(Span("pending", "wait", event.timestamp, None))
        self.lanes[event.task_id] = lane

    def _fire_timer(self, event: HistoryEvent) -> None:
        lane = self.lanes.get(event.task_id)
        if lane is None:
            return
        for span in lane.spans:
            span.end = span.end or event.timestamp
        if lane.spans[-1].part == "wait":
            lane.state = "fired"
            lane.spans.append(Span("pending", "point", event.timestamp, event.timestamp))

    def _point(self, event: HistoryEvent) -> None:
        sent = event.type == EventType.EVENT_SENT
        lane = Lane(event.name or "event", "sent" if sent else "raised", sequence=event.sequence)
        lane.spans.append(Span("continued" if sent else "waiting", "point", event.timestamp, event.timestamp))
        self.lanes[("event", event.sequence)] = lane


def gather(
    instance: Instance, events: Sequence[HistoryEvent], waits: Iterable[Wait], started: dict[int, datetime]
) -> list[Lane]:
    """The rows of a timeline: the orchestrator first, then its tasks as they were decided, then its open event waits.

    ``started`` says when activities that still run began, by task id.
    """
    gatherer = _Gatherer(started)
    for event in events:
        gatherer.read(event)
    lanes = list(gatherer.lanes.values())
    if instance.completed_at:
        _close(lanes, instance.completed_at)
    lanes = _fold(lanes)
    for wait in waits:
        if wait.kind in ("Human", "ExternalEvent") and wait.since:
            kind = "waiting" if wait.kind == "Human" else "running"
            lanes.append(Lane(wait.name, "waiting", [Span(kind, "wait", wait.since, None)]))
    return [_root(instance), *lanes]


def attributes(event: HistoryEvent | InboxMessage) -> dict[str, object]:
    """What only this type of event has; empty where nothing readable is stored."""
    try:
        value = json.loads(event.attributes or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _root(instance: Instance) -> Lane:
    began = instance.started_at or instance.created_at
    kind = {"Pending": "pending", "ContinuedAsNew": "continued"}.get(instance.status, instance.status.lower())
    part = "ran" if instance.completed_at else "wait"
    return Lane(instance.name, instance.status.lower(), [Span(kind, part, began, instance.completed_at)])


def _close(lanes: list[Lane], at: datetime) -> None:
    """Ends what was still open when the instance ended; such tasks have no outcome."""
    for lane in lanes:
        for span in lane.spans:
            if span.end is None:
                span.end, span.kind, lane.state = max(at, span.start), "pending", "left behind"


def _fold(lanes: list[Lane]) -> list[Lane]:
    folded: list[Lane] = []
    run: list[Lane] = []
    for lane in [*lanes, None]:
        if run and (lane is None or lane.label != run[0].label):
            folded.extend([_folded(run)] if len(run) >= FOLD_FROM else run)
            run = []
        if lane is not None:
            run.append(lane)
    return folded


def _folded(run: list[Lane]) -> Lane:
    spans = [span for lane in run for span in lane.spans]
    failed = sum(lane.state.startswith("failed") for lane in run)
    succeeded = sum(lane.state.startswith("completed") for lane in run)
    unfinished = len(run) - failed - succeeded
    counts = {"ok": succeeded, "failed": failed, "open": unfinished}
    start = min(span.start for span in spans)
    end = None if any(span.end is None for span in spans) else max(span.end for span in spans if span.end)
    kind = "failed" if failed else "running" if unfinished else "completed"
    label = f"{run[0].label} ×{len(run)}"
    return Lane(
        label,
        ", ".join(f"{count} {word}" for word, count in counts.items() if count),
        [Span(kind, "ran" if end else "wait", start, end)],
        run[0].sequence,
        len(run),
    )
