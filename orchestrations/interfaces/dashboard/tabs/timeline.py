"""The timeline: a window of the newest tasks and events, and the way to earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.presentation import spans
from orchestrations.interfaces.dashboard.presentation.timeline import lay_out
from orchestrations.interfaces.dashboard.tabs.reading import events_of, number
from orchestrations.models import HistoryEvent, Instance

ROWS = 200  # drawn at once
EVENTS = 800  # read for them: a task has two events or more
ENDS_SOUGHT = 5_000  # events behind an earlier window in which the ends of its tasks are looked for


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """The picture, and where the earlier and later ones are."""
    last = min(number(request.GET.get("until")) or instance.last_sequence, instance.last_sequence)
    unfolded = request.GET.get("unfold") == "1"
    is_newest = last >= instance.last_sequence
    first = max(last - EVENTS, 0) + 1
    events = list(events_of(instance).filter(sequence__gte=first, sequence__lte=last))
    lanes = _lanes(instance, events, about, last, is_newest=is_newest)
    folded = lanes if unfolded else spans.fold(lanes)
    shown = folded[-ROWS:]
    if len(folded) > ROWS:
        first = min((lane.sequence for lane in shown if lane.sequence), default=first)
    is_whole = first == 1
    root = spans.root(
        instance,
        since=None if is_whole else _since(shown, events),
        until=None if is_newest else events[-1].timestamp if events else None,
    )
    address = reverse("dashboard:instance", args=[instance.hub, instance.instance_id])
    return {
        "timeline": lay_out([root, *shown], about.now),
        "earlier": {"first": max(first - EVENTS, 1), "last": first - 1} if first > 1 else None,
        "earlier_url": f"{address}?{urlencode({'until': first - 1})}",
        "newest_url": "" if is_newest else address,
        "unfold_url": f"{address}?{urlencode({'until': last, 'unfold': 1})}",
        "fold_url": f"{address}?{urlencode({'until': last})}" if unfolded else "",
        "has_folded": any(lane.folded > 1 for lane in shown),
        "has_rows": bool(shown),
        "window": (first, last),
        "is_whole": is_whole and is_newest,
    }


def started(about: Circumstances) -> dict[int, datetime]:
    """When the activities that run now began, by task id."""
    return {task_id: item.started_at for task_id, item in about.items.items() if item.started_at is not None}


def _lanes(
    instance: Instance, events: Sequence[HistoryEvent], about: Circumstances, last: int, *, is_newest: bool
) -> list[spans.Lane]:
    lanes = spans.gather(events, started(about) if is_newest else {})
    if not is_newest:
        open_tasks = [lane.task_id for lane in lanes if lane.task_id is not None and lane.is_open]
        later = events_of(instance).filter(sequence__gt=last, sequence__lte=last + ENDS_SOUGHT)
        ends = later.filter(task_id__in=open_tasks[:ROWS], type__in=[kind.value for kind in spans.ENDS])
        spans.end_at(lanes, ends if open_tasks else ())
    if instance.completed_at:
        spans.close(lanes, instance.completed_at)
    if not is_newest:
        return lanes
    known = {lane.task_id for lane in lanes if lane.task_id is not None}
    return [*lanes, *spans.open_waits(about.waits, about.items.values(), known)]


def _since(shown: Sequence[spans.Lane], events: Sequence[HistoryEvent]) -> datetime | None:
    """When the window begins."""
    if shown:
        return min(lane.start for lane in shown)
    return events[0].timestamp if events else None
