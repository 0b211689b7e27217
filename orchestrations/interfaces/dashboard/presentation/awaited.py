"""What is awaited, with what is known of it: on which worker it runs, in which queue it stands, who holds the lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from orchestrations.conf import get_config
from orchestrations.core.http_messages import HTTP_ACTIVITY
from orchestrations.interfaces.dashboard.circumstances import Circumstances, entity_ids
from orchestrations.interfaces.dashboard.fleet import Fleet
from orchestrations.interfaces.dashboard.presentation.durations import clock, distance, roughly, spoken
from orchestrations.interfaces.dashboard.presentation.failures import failure_of
from orchestrations.interfaces.dashboard.presentation.redaction import redact_text
from orchestrations.interfaces.dashboard.presentation.waits import Wait, full_stop
from orchestrations.models import ActivityWorkItem, Instance

DETAIL_CHARACTERS = 200
HTTP_POLL = "before "  # how the engine titles the timer between two polls


@dataclass(frozen=True, slots=True)
class Telling:
    """``text`` is one sentence, ``more`` are sentences that follow it, ``instance_id`` is whom it is about."""

    text: str
    more: tuple[str, ...] = ()
    instance_id: str = ""


def tell(wait: Wait, about: Circumstances) -> Telling:
    """The sentence about one wait, with what the circumstances add."""
    teller = TELLERS.get(wait.kind)
    return teller(wait, about) if teller else Telling(wait.sentence(about.now))


def _human(wait: Wait, about: Circumstances) -> Telling:
    audience = about.audiences.get(wait.task_id or 0)
    whom = "a person"
    if audience is not None and (audience.groups or audience.users):
        whom = " or ".join((*audience.groups, *audience.users))
    elif audience is not None and audience.permission:
        whom = f"somebody with the permission {audience.permission}"
    return Telling(wait.sentence(about.now, whom))


def _timer(wait: Wait, about: Circumstances) -> Telling:
    if not wait.name.startswith(HTTP_POLL) or wait.due_at is None:
        return Telling(wait.sentence(about.now))
    call, due = wait.name.removeprefix(HTTP_POLL), wait.due_at
    return Telling(f"{call} has not answered for good yet and is polled again {distance(due, about.now)}.")


def _retry(wait: Wait, about: Circumstances) -> Telling:
    sentence = wait.sentence(about.now)
    if about.last_failure is None:
        return Telling(sentence)
    event = about.last_failure
    causes = failure_of(lambda: event.payload)
    if not causes:
        return Telling(sentence)
    place = f" at {causes[-1].place}" if causes[-1].place else ""
    return Telling(sentence, (full_stop(f"It failed{place} with {_cut(causes[-1].line)}"),))


def _child(wait: Wait, about: Circumstances) -> Telling:
    child = about.children.get(wait.instance_id or "")
    if child is None:
        return Telling(wait.sentence(about.now), instance_id=wait.instance_id or "")
    now = about.now
    more = f"That one is {child.status}" + (f": {spoken(_doing(child), now)}" if _doing(child) else "")
    place = f", at {child.blocked_at}" if child.blocked_at and not child.runtime_status.is_terminal else ""
    return Telling(wait.sentence(now), (full_stop(more + place),), child.instance_id)


def _lock(wait: Wait, about: Circumstances) -> Telling:
    for entity_id in entity_ids(wait):
        entity = about.entities.get(entity_id)
        if entity is not None and entity.locked_by:
            return Telling(wait.sentence(about.now), (f"{entity.locked_by} holds the lock of {entity_id}.",))
    return _operation(wait, about)


def _operation(wait: Wait, about: Circumstances) -> Telling:
    sentence, more = wait.sentence(about.now), []
    for entity_id in entity_ids(wait):
        entity = about.entities.get(entity_id)
        name = entity_id.split("@", 2)[1]
        if entity is not None and entity.locked_by:
            more.append(f"{entity_id} is locked by {entity.locked_by}; {entity.backlog} messages wait for the lock.")
        elif about.fleet is not None and about.fleet.live and not about.fleet.has("entities", name):
            more.append(f"No live worker has the code of the entity {name}.")
    return Telling(sentence, tuple(more))


def _activity(wait: Wait, about: Circumstances) -> Telling:
    item = about.items.get(wait.task_id or 0)
    if item is None:
        return Telling(wait.sentence(about.now))
    what = f"The HTTP call {wait.name}" if item.name == HTTP_ACTIVITY else f"The activity {wait.name}"
    attempts = f", {wait.attempts}" if wait.attempts else ""
    if item.deferred_until is not None:
        until = f"until {clock(item.deferred_until, about.now)}"
        return Telling(f"{what} has returned and waits for its completion from outside {until}{attempts}.")
    if item.lease_token is None:
        return _queued(what, attempts, item, about)
    return _runs(what, attempts, item, about)


def _queued(what: str, attempts: str, item: ActivityWorkItem, about: Circumstances) -> Telling:
    now = about.now
    if item.visible_at > now:
        return Telling(f"{what} is to run {distance(item.visible_at, now)} ({clock(item.visible_at, now)}){attempts}.")
    text = f"{what} has been queued for {roughly(now - item.visible_at)}{attempts}"
    reason = _queue_reason(item, about.fleet, about) if about.fleet is not None else ""
    return Telling(f"{text}: {reason}" if reason else f"{text}.", _deaths(item))


def _queue_reason(item: ActivityWorkItem, fleet: Fleet, about: Circumstances) -> str:
    if not fleet.live:
        return "no worker is running."
    if not fleet.has("activities", item.name):
        patience = get_config().unknown_activity_seconds
        fails_at = item.scheduled_at + timedelta(seconds=patience)
        until = f"; it fails {distance(fails_at, about.now)} if none comes" if fails_at > about.now else ""
        return f"no live worker has its code{until}."
    running, places = fleet.places
    if running >= places:
        return f"all {places} places of the live workers are taken. More workers, or more threads, would begin it."
    return "a worker takes it next."


def _runs(what: str, attempts: str, item: ActivityWorkItem, about: Circumstances) -> Telling:
    now, more = about.now, []
    worker = about.fleet.worker(item.lease_token) if about.fleet is not None else None
    if worker is not None and not worker.is_alive:
        silent = f"{what} was running on {worker.name}, which gave its last sign of life at"
        more.append("Another worker takes it over within seconds, if there is one.")
        return Telling(f"{silent} {clock(worker.heartbeat_at, now)}{attempts}.", (*more, *_deaths(item)))
    began = item.started_at or item.scheduled_at
    where = f" on {worker.name}" if worker is not None else ""
    if item.heartbeat_at is not None and item.heartbeat_details:
        told = _cut(redact_text(item.heartbeat_details))
        more.append(f"Its last heartbeat, {distance(item.heartbeat_at, now)}, said {told}.")
    if item.timeout_seconds:
        more.append(f"It times out {distance(began + timedelta(seconds=item.timeout_seconds), now)}.")
    return Telling(f"{what} has been running for {roughly(now - began)}{where}{attempts}.", (*more, *_deaths(item)))


def _deaths(item: ActivityWorkItem) -> tuple[str, ...]:
    if item.dispatches < 2 or item.started_at is None:
        return ()
    limit = get_config().dispatch_attempts
    return (f"It has been begun {item.dispatches} times, because workers died meanwhile; it fails after {limit}.",)


def _doing(child: Instance) -> str:
    return child.error or child.waiting_for


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_CHARACTERS else f"{text[: DETAIL_CHARACTERS - 1]}…"


TELLERS: dict[str, Callable[[Wait, Circumstances], Telling]] = {
    "Human": _human,
    "Retry": _retry,
    "Activity": _activity,
    "SubOrchestration": _child,
    "EntityLock": _lock,
    "EntityOperation": _operation,
    "Timer": _timer,
}
