"""The acts that a bulk job may be: what each needs to be told, and the one call that does it to a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrations.access.permissions import Action, can
from orchestrations.authoring import payloads
from orchestrations.client.arguments import check_event_name, check_reason
from orchestrations.client.hub import SerializedJson, encode
from orchestrations.client.many import ActingOnMany, Outcomes
from orchestrations.client.tagging import tag_changes
from orchestrations.errors import PayloadRejected
from orchestrations.models import BulkJob, Instance
from orchestrations.models.instances import START_COLUMNS

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

Perform = Callable[[ActingOnMany, BulkJob, Sequence[Instance]], Outcomes]

REASON_NEEDED = frozenset({Action.TERMINATE, Action.REWIND, Action.PURGE})
"""Acts that must be explained, here as on one instance."""


@dataclass(frozen=True, slots=True)
class BulkAct:
    """One act. ``columns`` are those that it reads of each instance beside the usual ones."""

    perform: Perform
    parameters: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()


def _control(action: Action) -> Perform:
    def perform(client: ActingOnMany, job: BulkJob, instances: Sequence[Instance]) -> Outcomes:
        recursive = bool(job.parameters.get("recursive"))
        return client.control_many(action, instances, job.reason, recursive=recursive, details=_details(job))

    return perform


def _restart(client: ActingOnMany, job: BulkJob, instances: Sequence[Instance]) -> Outcomes:
    return client.restart_many(instances, job.reason, details=_details(job))


def _purge(client: ActingOnMany, job: BulkJob, instances: Sequence[Instance]) -> Outcomes:
    recursive = bool(job.parameters.get("recursive"))
    return client.purge_many(instances, job.reason, recursive=recursive, details=_details(job))


def _raise_event(client: ActingOnMany, job: BulkJob, instances: Sequence[Instance]) -> Outcomes:
    return client.raise_event_for_many(
        instances,
        job.parameters["event_name"],
        job.parameters["event_data"],
        key=f"bulk-job-{job.pk}",
        reason=job.reason,
        details=_details(job),
    )


def _set_tags(client: ActingOnMany, job: BulkJob, instances: Sequence[Instance]) -> Outcomes:
    return client.set_tags_of_many(instances, job.parameters["tags"], job.reason, details=_details(job))


def _details(job: BulkJob) -> dict[str, int]:
    return {"job": job.pk}


ACTS: dict[Action, BulkAct] = {
    Action.TERMINATE: BulkAct(_control(Action.TERMINATE), frozenset({"recursive"})),
    Action.SUSPEND: BulkAct(_control(Action.SUSPEND), frozenset({"recursive"})),
    Action.RESUME: BulkAct(_control(Action.RESUME), frozenset({"recursive"})),
    Action.REWIND: BulkAct(_control(Action.REWIND)),
    Action.RESTART: BulkAct(_restart, columns=START_COLUMNS),
    Action.PURGE: BulkAct(_purge, frozenset({"recursive"})),
    Action.RAISE_EVENT: BulkAct(_raise_event, frozenset({"event_name", "event_data"})),
    Action.SET_TAGS: BulkAct(_set_tags, frozenset({"tags", "remove_tags"}), columns=("tags",)),
}


def checked_parameters(
    action: Action,
    *,
    recursive: bool | None = None,
    event_name: str | None = None,
    event_data: object = None,
    tags: Mapping[str, str] | None = None,
    remove_tags: Iterable[str] = (),
) -> dict[str, Any]:
    """What a job keeps of what its act is told. Raises PayloadRejected for what it can't do, and what it can't use.

    ``recursive`` is by default True for a termination, as for one instance.
    """
    removed = tuple(remove_tags)
    given = {
        "recursive": recursive is not None,
        "event_name": event_name is not None,
        "event_data": event_data is not None,
        "tags": bool(tags),
        "remove_tags": bool(removed),
    }
    for name, is_given in given.items():
        if is_given and name not in ACTS[action].parameters:
            raise PayloadRejected(f"{action.value} takes no {name}. Leave it out.", subject=name)
    if "recursive" in ACTS[action].parameters:
        return {"recursive": action is Action.TERMINATE if recursive is None else recursive}
    if action is Action.RAISE_EVENT:
        name = check_event_name(event_name or "")
        return {"event_name": name, "event_data": _event_data(name, event_data)}
    if action is Action.SET_TAGS:
        return {"tags": tag_changes(tags, removed)}
    return {}


def checked_reason(action: Action, reason: str) -> str:
    """The reason. Raises PayloadRejected for one that can't be stored, and for none where the act must be explained."""
    if action in REASON_NEEDED and not reason.strip():
        raise PayloadRejected(f"{action.value} needs a reason. Say why.", subject="reason", path="$.reason")
    return check_reason(reason)


def refusal(user: Person, job: BulkJob, instance: Instance) -> str:
    """Why that person may not do the job's act to that instance; empty where they may. Events need ``open_waits``.

    A question to people is answered one by one, by its form: no event of a bulk job goes past it.
    """
    if job.action == Action.RAISE_EVENT:
        name = job.parameters["event_name"].casefold()
        if any(wait.title and wait.name.casefold() == name for wait in instance.open_waits.all()):
            return "It asks people that very question, which is answered on its own page."
    if can(user, Action(job.action), instance):
        return ""
    return f"{job.creator_name!r} may not do this to it any more."


def _event_data(name: str, value: object) -> str | None:
    if isinstance(value, SerializedJson):
        return payloads.check_text(value.text, f"the event {name!r}")
    return encode(value, f"the event {name!r}")
