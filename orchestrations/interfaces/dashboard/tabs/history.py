"""History: compact by task, in full, or as JSON; pages by sequence, narrowed by type, outcome and name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.db.models.functions import Length, Substr
from django.http import HttpRequest, QueryDict
from django.urls import reverse

from orchestrations.access.permissions import Action, can
from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.forks import fork_url
from orchestrations.interfaces.dashboard.presentation import spans
from orchestrations.interfaces.dashboard.presentation.durations import duration
from orchestrations.interfaces.dashboard.presentation.events import event_json, present
from orchestrations.interfaces.dashboard.tabs.reading import events_of, number
from orchestrations.interfaces.dashboard.tabs.timeline import started
from orchestrations.limits import HISTORY_PAGE, HISTORY_PREVIEW_CHARACTERS, NAME_LENGTH
from orchestrations.models import ActivityWorkItem, HistoryEvent, Instance, Timer
from orchestrations.reading import queries

VIEWS = {"full": "Full", "compact": "Compact", "json": "JSON"}
NARROWINGS = {"": "All events", "failed": "Failed", "open": "Open"}
TYPES = tuple(event_type.value for event_type in EventType)
FAILURE_TYPES = tuple(kind.value for kind in spans.FAILED)
OPENERS = (*(kind.value for kind in spans.SCHEDULED), EventType.TIMER_CREATED.value)
OPEN_READ = 500  # open tasks of each kind that are looked for


@dataclass(frozen=True, slots=True)
class Asked:
    """What the query string asks for; what it gets wrong is left out."""

    execution: int
    view: str
    type: str
    only: str
    name: str
    seq: int
    """The first sequence to show, at least."""
    before: int | None
    """Set for the page that ends before that sequence."""

    @classmethod
    def of(cls, query: QueryDict, instance: Instance) -> Asked:
        """Read it."""
        view, kind, only = query.get("view", ""), query.get("type", ""), query.get("only", "")
        name = query.get("q", "").strip()[:NAME_LENGTH]
        return cls(
            execution=number(query.get("execution")) or instance.execution,
            view=view if view in VIEWS else "full",
            type=kind if kind in TYPES else "",
            only=only if only in NARROWINGS else "",
            name=name if queries.storable(name) else "",
            seq=number(query.get("seq")) or 1,
            before=number(query.get("before")),
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether events are left out."""
        return bool(self.type or self.only or self.name)

    def address(self, instance: Instance, **changes: object) -> str:
        """The same with other values; a page's place is kept only where it is given."""
        values = {
            "execution": self.execution if self.execution != instance.execution else "",
            "view": self.view if self.view != "full" else "",
            "type": self.type,
            "only": self.only,
            "q": self.name,
        }
        query = urlencode({key: value for key, value in (values | changes).items() if value})
        place = reverse("dashboard:instance_tab", args=[instance.hub, instance.instance_id, "history"])
        return f"{place}?{query}" if query else place


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with all that happened to it, in the compact view."""

    label: str
    state: str
    kind: str
    sequence: int | None
    last_sequence: int | None
    start: datetime
    queued: str
    ran: str


def tools(request: HttpRequest, instance: Instance) -> dict[str, object]:
    """The filter's form, which no live update swaps, and the switches of view and execution."""
    asked = Asked.of(request.GET, instance)
    return {
        "asked": asked,
        "history_url": asked.address(instance, execution="", view="", type="", only="", q=""),
        "views": [
            {"label": label, "url": asked.address(instance, view=slug), "is_current": slug == asked.view}
            for slug, label in VIEWS.items()
        ],
        "narrowings": list(NARROWINGS.items()),
        "types": TYPES,
        "executions": [
            {"number": one, "url": Asked.of(QueryDict(), instance).address(instance, execution=one)}
            for one in (queries.executions(instance) if instance.execution > 1 else [])
        ],
        "may_export": can(person(request), Action.VIEW_PAYLOADS, instance),
    }


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """One page of events in the asked view."""
    asked = Asked.of(request.GET, instance)
    events, has_earlier, has_later = _page(instance, asked)
    may_see = can(person(request), Action.VIEW_PAYLOADS, instance)
    first, last = (events[0].sequence, events[-1].sequence) if events else (1, 0)
    failure = _failure_place(instance, asked) if not asked.is_narrowed else None
    return {
        "asked": asked,
        "execution": asked.execution,
        "fork_url": fork_url(request, instance, asked.execution),
        **RENDERINGS[asked.view](instance, asked, events, about, may_see),
        "is_empty": not events,
        "first": first,
        "last": last,
        "earlier_url": asked.address(instance, before=first) if has_earlier else "",
        "later_url": asked.address(instance, seq=last + 1) if has_later else "",
        "newest_url": asked.address(instance, before=instance.last_sequence + 1)
        if has_later and asked.execution == instance.execution
        else "",
        "failure_url": f"{asked.address(instance, seq=max(failure - 20, 1))}#e{failure}" if failure else "",
        "clear_url": asked.address(instance, type="", only="", q=""),
    }


def _page(instance: Instance, asked: Asked) -> tuple[list[HistoryEvent], bool, bool]:
    """The events of the page, and whether there are some before and behind it."""
    rows = _narrowed(events_of(instance, asked.execution), instance, asked)
    rows = rows.annotate(
        payload_preview=Substr("payload", 1, HISTORY_PREVIEW_CHARACTERS), payload_length=Length("payload")
    )
    if asked.before is not None:
        found = list(rows.filter(sequence__lt=asked.before).order_by("-sequence")[: HISTORY_PAGE + 1])
        events, has_earlier = found[:HISTORY_PAGE][::-1], len(found) > HISTORY_PAGE
        ends = asked.before > instance.last_sequence and asked.execution == instance.execution
        return queries.described(events), has_earlier, not ends
    found = list(rows.filter(sequence__gte=asked.seq)[: HISTORY_PAGE + 1])
    return queries.described(found[:HISTORY_PAGE]), asked.seq > 1, len(found) > HISTORY_PAGE


def _narrowed(rows: QuerySet[HistoryEvent], instance: Instance, asked: Asked) -> QuerySet[HistoryEvent]:
    if asked.type:
        rows = rows.filter(type=asked.type)
    if asked.name:
        rows = rows.filter(name__icontains=asked.name)
    if asked.only == "failed":
        ended = Q(type=EventType.EXECUTION_COMPLETED.value, attributes__contains='"Failed"')
        rows = rows.filter(Q(type__in=FAILURE_TYPES) | ended)
    elif asked.only == "open":
        rows = rows.filter(type__in=OPENERS, task_id__in=_open_tasks(instance, asked))
    return rows


def _open_tasks(instance: Instance, asked: Asked) -> set[int]:
    """The tasks that have not ended: activities, timers and sub-orchestrations, and what else is awaited."""
    if asked.execution != instance.execution:
        return set()
    using = get_config().database
    mine = {"instance_id": instance.pk, "execution": instance.execution}
    live = [status.value for status in RuntimeStatus if status not in TERMINAL]
    children = Instance.objects.using(using).filter(parent_id=instance.pk, status__in=live)
    found = {
        *ActivityWorkItem.objects.using(using).filter(**mine).values_list("task_id", flat=True)[:OPEN_READ],
        *Timer.objects.using(using)
        .filter(**mine, state=Timer.State.PENDING)
        .values_list("task_id", flat=True)[:OPEN_READ],
        *children.values_list("parent_task_id", flat=True)[:OPEN_READ],
    }
    return {task_id for task_id in found if task_id is not None}


def _failure_place(instance: Instance, asked: Asked) -> int | None:
    """The newest event that tells of a failure, for a link; looked for in a failed instance's last events alone."""
    if instance.status != RuntimeStatus.FAILED or asked.execution != instance.execution:
        return None
    recent = events_of(instance).filter(sequence__gt=instance.last_sequence - HISTORY_PAGE, type__in=FAILURE_TYPES)
    newest = recent.order_by("-sequence").values_list("sequence", flat=True).first()
    return newest or instance.last_sequence


def _full(
    instance: Instance, asked: Asked, events: list[HistoryEvent], about: Circumstances, may_see: bool
) -> dict[str, object]:
    return {"events": [present(row, show_payload=may_see) for row in events]}


def _json(
    instance: Instance, asked: Asked, events: list[HistoryEvent], about: Circumstances, may_see: bool
) -> dict[str, object]:
    return {"documents": [(row, event_json(row, show_payload=may_see)) for row in events]}


def _compact(
    instance: Instance, asked: Asked, events: list[HistoryEvent], about: Circumstances, may_see: bool
) -> dict[str, object]:
    is_present = asked.execution == instance.execution
    lanes = spans.gather(events, started(about) if is_present else {})
    if instance.completed_at and is_present:
        spans.close(lanes, instance.completed_at)
    if is_present and not asked.is_narrowed and (not events or events[-1].sequence >= instance.last_sequence):
        known = {lane.task_id for lane in lanes if lane.task_id is not None}
        lanes += spans.open_waits(about.waits, about.items.values(), known)
    return {"tasks": [_task(lane, about.now) for lane in spans.fold(lanes)]}


def _task(lane: spans.Lane, now: datetime) -> TaskRow:
    def length(*parts: str) -> str:
        chosen = [span for span in lane.spans if span.part in parts]
        return duration(max(span.end or now for span in chosen) - min(span.start for span in chosen)) if chosen else ""

    return TaskRow(
        label=lane.label,
        state=lane.state,
        kind=lane.spans[-1].kind,
        sequence=lane.sequence,
        last_sequence=lane.last_sequence,
        start=lane.start,
        queued=length("queued"),
        ran=length("ran", "wait", "backoff"),
    )


Render = Callable[[Instance, Asked, list[HistoryEvent], Circumstances, bool], dict[str, object]]
RENDERINGS: dict[str, Render] = {"full": _full, "json": _json, "compact": _compact}
