"""What of a task hub needs somebody, the worst first, each with a link to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.links import admin_url, list_url, target_url
from orchestrations.models import OutgoingWebhook, WorkerLease
from orchestrations.reading import hub_state, queries
from orchestrations.reading.hub_state import Backlog, Found
from orchestrations.search.language import Mark, Query
from orchestrations.search.moments import Span

LATELY = timedelta(hours=1)
BACKLOG_AGE = timedelta(minutes=1)  # of the oldest piece of work, from which on it is more than a moment's rush
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Item:
    """One of those that a concern is about."""

    label: str
    text: str
    url: str
    is_id: bool = True
    """Whether the label is an instance's id, as opposed to a title."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs somebody. ``since`` is how long it has been so, where that is known.

    A link ``to_admin`` is for who gets into the Django admin.
    """

    kind: str
    icon: str
    title: str
    detail: str = ""
    url: str = ""
    link: str = ""
    since: datetime | None = None
    items: Sequence[Item] = ()
    to_admin: bool = False


def concerns(hub: str, now: datetime) -> list[Concern]:
    """All of them; an empty list means that nothing needs anybody."""
    workers = queries.workers(hub)
    live = [worker for worker in workers if worker.expires_at > now]
    backlogs = hub_state.backlogs(hub, now)
    return [
        *_workers(hub, live, _gone(hub, now, workers), backlogs),
        *_unserved(hub, now, live),
        *_failed(hub, now),
        *_stuck(hub, now),
        *_dead(hub),
        *_overdue(hub, now),
        *_backlog(hub, now, backlogs),
        *_webhooks(hub),
    ]


def _gone(hub: str, now: datetime, workers: Sequence[WorkerLease]) -> list[str]:
    """Those whose lease has run out, and those that others have found dead lately."""
    lost = hub_state.lost_workers(hub, now - LATELY)
    return [worker.worker for worker in workers if worker.expires_at <= now] + [worker.worker for worker in lost]


def _workers(hub: str, live: Sequence[WorkerLease], gone: Sequence[str], backlogs: Sequence[Backlog]) -> list[Concern]:
    url = reverse("dashboard:workers", args=[hub])
    found = []
    if not live:
        waits = any(backlog.depth.value for backlog in backlogs)
        detail = "Work is waiting for one." if waits else "What is started now will wait for one."
        found.append(Concern("failed", "alert", "No worker is running", detail, url, "How to start one"))
    if gone:
        title = f"{_number(len(gone), 'worker')} stopped without a word in the last hour"
        found.append(Concern("terminated", "octagon", title, _some(gone), url, "Workers"))
    return found


def _unserved(hub: str, now: datetime, live: Sequence[WorkerLease]) -> list[Concern]:
    missing = hub_state.unserved(hub, now, live) if live else []
    if not missing:
        return []
    told = _some(f"{one.kind} {one.name}{f', version {one.version}' if one.version else ''}" for one in missing)
    title = f"No worker has the code of {_number(len(missing), 'function')}"
    return [Concern("failed", "alert", title, told, reverse("dashboard:workers", args=[hub]), "Workers")]


def _failed(hub: str, now: datetime) -> list[Concern]:
    since = (now - LATELY).replace(second=0, microsecond=0)  # as the link can say it
    found = hub_state.failed_since(hub, since)
    if not found.count.value:
        return []
    url = list_url(hub, Query(statuses=(RuntimeStatus.FAILED,), completed=Span(since)))
    return [_of_instances("failed", "alert", hub, found, "failed in the last hour", url, "All of them")]


def _stuck(hub: str, now: datetime) -> list[Concern]:
    found = hub_state.stuck(hub, now)
    if not found.count.value:
        return []
    url = list_url(hub, Query(marks=(Mark.STUCK,)))
    it = "it has" if found.count.value == 1 and not found.count.is_capped else "they have"
    words = f"stuck: ready for over a minute, and no worker takes up what {it} to do"
    return [_of_instances("terminated", "octagon", hub, found, words, url, "All of them")]


def _of_instances(kind: str, icon: str, hub: str, found: Found, words: str, url: str = "", link: str = "") -> Concern:
    noun = "instance" if found.count.value == 1 and not found.count.is_capped else "instances"
    items = [
        Item(row.instance_id, row.error or row.name, reverse("dashboard:instance", args=[hub, row.instance_id]))
        for row in found.sample
    ]
    return Concern(kind, icon, f"{found.count} {noun} {words}", url=url, link=link, items=items)


def _dead(hub: str) -> list[Concern]:
    found = hub_state.dead_letters(hub)
    if not found.count.value:
        return []
    items = [
        Item(dead.instance_id, f"{dead.kind} {dead.name}", target_url(hub, dead.instance_id)) for dead in found.sample
    ]
    pieces = "piece" if found.count.value == 1 else "pieces"
    title = f"{found.count} {pieces} of work given up, because the workers died of it"
    url = reverse("dashboard:dead_letters", args=[hub])
    return [Concern("failed", "alert", title, url=url, link="Dead letters", items=items)]


def _webhooks(hub: str) -> list[Concern]:
    failing = hub_state.failing_webhooks(hub)
    if not failing:
        return []
    told = _some(f"{one.name}{'' if one.enabled else ' (turned off)'}" for one in failing)
    title = f"{_number(len(failing), 'webhook')} can’t be delivered to"
    url, since = admin_url(OutgoingWebhook), failing[0].failing_since
    return [Concern("canceled", "alert", title, told, url, "Webhooks", since, to_admin=True)]


def _overdue(hub: str, now: datetime) -> list[Concern]:
    found = hub_state.overdue_questions(hub, now)
    if not found.count.value:
        return []
    items = [
        Item(task.title, task.instance.name, reverse("dashboard:task", args=[task.pk]), is_id=False)
        for task in found.sample
    ]
    noun = "question" if found.count.value == 1 else "questions"
    since = found.sample[0].due_at if found.sample else None
    title, url = f"{found.count} {noun} to people overdue", reverse("dashboard:approvals")
    return [Concern("waiting", "person", title, url=url, link="Approvals", since=since, items=items)]


def _backlog(hub: str, now: datetime, backlogs: Sequence[Backlog]) -> list[Concern]:
    old = [one for one in backlogs if one.oldest_at is not None and now - one.oldest_at > BACKLOG_AGE]
    if not old:
        return []
    told = ", ".join(f"{one.kind} {one.depth}" for one in old)
    since = min(one.oldest_at for one in old if one.oldest_at is not None)
    url = reverse("dashboard:workers", args=[hub])
    return [Concern("canceled", "clock", "Work waits for workers", told, url, "Queues", since)]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _some(names: Iterable[str]) -> str:
    listed = [*names]
    more = len(listed) - NAMES_SHOWN
    return ", ".join(listed[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
