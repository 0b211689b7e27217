"""Who may do what to an instance, and in which status it makes sense. No view or serializer decides this for itself.

A right comes from a Django permission, which holds for everything, or from a grant, which ends at certain names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orchestrations.access.grants import holdings_of, rights_of
from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import PermissionRefused
from orchestrations.patterns import ANY

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    from orchestrations.models import HumanTask, Instance, OpenWait

    Person = User | AnonymousUser


class Action(StrEnum):
    """What a person can do. The values are what audit rows, URLs and the API call these acts."""

    START = "start"
    RAISE_EVENT = "raise_event"
    RAISE_UNVALIDATED = "raise_unvalidated"
    OVERRIDE_TASK = "override_task"
    ANSWER = "answer"
    TERMINATE = "terminate"
    SUSPEND = "suspend"
    RESUME = "resume"
    REWIND = "rewind"
    RESTART = "restart"
    FORK = "fork"
    PURGE = "purge"
    SET_TAGS = "set_tags"
    RETRY_NOW = "retry_now"
    SKIP_TIMER = "skip_timer"
    COMPLETE_TASK = "complete_task"
    SIGNAL_ENTITY = "signal_entity"
    CLEAN_ENTITIES = "clean_entities"
    VIEW = "view"
    VIEW_PAYLOADS = "view_payloads"
    VIEW_AUDIT = "view_audit"
    PUBLISH_VIEW = "publish_view"

    @property
    def permission(self) -> str:
        """The Django permission that it needs, such as ``orchestrations.terminate_instance``."""
        return f"orchestrations.{PERMISSIONS[self]}"


PERMISSIONS: dict[Action, str] = {
    Action.START: "start_instance",
    Action.RAISE_EVENT: "raise_event",
    Action.RAISE_UNVALIDATED: "raise_unvalidated",
    Action.OVERRIDE_TASK: "override_task",
    Action.ANSWER: "raise_event",
    Action.TERMINATE: "terminate_instance",
    Action.SUSPEND: "suspend_instance",
    Action.RESUME: "suspend_instance",
    Action.REWIND: "rewind_instance",
    Action.RESTART: "start_instance",
    Action.FORK: "start_instance",
    Action.PURGE: "purge_instance",
    Action.SET_TAGS: "tag_instance",
    Action.RETRY_NOW: "hasten_task",
    Action.SKIP_TIMER: "hasten_task",
    Action.COMPLETE_TASK: "complete_task",
    Action.SIGNAL_ENTITY: "signal_entity",
    Action.CLEAN_ENTITIES: "clean_entities",
    Action.VIEW: "view_instance",
    Action.VIEW_PAYLOADS: "view_payloads",
    Action.VIEW_AUDIT: "view_auditentry",
    Action.PUBLISH_VIEW: "publish_savedview",
}

_ALWAYS = frozenset({Action.RESTART, Action.FORK, Action.SET_TAGS})
_LIVE = _ALWAYS | {Action.RAISE_EVENT, Action.ANSWER, Action.TERMINATE}
_TASKS = frozenset({Action.RETRY_NOW, Action.SKIP_TIMER, Action.COMPLETE_TASK})
_ENDED = _ALWAYS | {Action.PURGE}

LEGAL_ACTIONS: dict[RuntimeStatus, frozenset[Action]] = {
    RuntimeStatus.PENDING: _LIVE | {Action.SUSPEND},
    RuntimeStatus.RUNNING: _LIVE | _TASKS | {Action.SUSPEND},
    RuntimeStatus.CONTINUED_AS_NEW: _LIVE | {Action.SUSPEND},
    RuntimeStatus.SUSPENDED: _LIVE | _TASKS | {Action.RESUME},
    RuntimeStatus.COMPLETED: _ENDED,
    RuntimeStatus.FAILED: _ENDED | {Action.REWIND},
    RuntimeStatus.TERMINATED: _ENDED,
    RuntimeStatus.CANCELED: _ENDED,
}


def legal_actions(status: RuntimeStatus | str) -> frozenset[Action]:
    """What changes something for an instance of that status. The client also accepts suspending a suspended one and
    resuming one that runs, without effect; a restart of a live instance needs a new id."""
    return LEGAL_ACTIONS[RuntimeStatus(status)]


def legal_statuses(action: Action) -> tuple[RuntimeStatus, ...]:
    """The statuses in which the action changes something, in the order of the enumeration."""
    return tuple(status for status in RuntimeStatus if action in LEGAL_ACTIONS[status])


@dataclass(frozen=True, slots=True)
class Function:
    """An orchestrator or entity of a task hub, where there is no instance of it to ask about."""

    hub: str
    name: str


def can(user: Person, action: Action, target: Instance | Function | None = None) -> bool:
    """Whether the person may do that to the target (an instance or a ``Function``), or without one to everything.

    They may with the action's Django permission, with a grant that covers the target's name, or where an object-level
    backend says so of the instance. Inactive and anonymous users may nothing. Nothing here looks at the instance's
    status: see ``legal_actions``.
    """
    if user.has_perm(action.permission):
        return True
    if target is None:
        return any(right.names == ANY and right.is_of(action.value, _hub()) for right in rights_of(user))
    if not isinstance(target, Function) and user.has_perm(action.permission, target):
        return True
    return any(right.covers(action.value, target.hub, target.name) for right in rights_of(user))


def can_somewhere(user: Person, action: Action, hub: str = "") -> bool:
    """Whether the person may do that to anything in the task hub (the site's own by default)."""
    return names_open_to(user, action, hub) != ()


def names_open_to(user: Person, action: Action, hub: str = "") -> tuple[str, ...] | None:
    """On which names in the task hub (the site's own by default) the person may do that; None for all of them.

    Each is a pattern (``orchestrations.patterns``). What an object-level backend allows is not among them.
    """
    if user.has_perm(action.permission):
        return None
    names = tuple(right.names for right in rights_of(user) if right.is_of(action.value, hub or _hub()))
    return None if ANY in names else names


def require(user: Person, action: Action, target: Instance | Function | None = None) -> None:
    """Raise PermissionRefused, naming the missing permission, unless ``can`` says yes."""
    if not can(user, action, target):
        raise _refused(user, action)


def require_permission(user: Person, permission: str) -> None:
    """Raise PermissionRefused unless the person holds that Django permission: for what is done to no instance."""
    if not user.has_perm(permission):
        name = user.get_username() or "anonymous"
        raise PermissionRefused(f"User {name!r} may not do that. Ask an administrator for the permission {permission}.")


def _hub() -> str:
    return get_config().task_hub


def available_actions(user: Person, instance: Instance) -> frozenset[Action]:
    """What to offer on the instance's page: legal in its status, and allowed to the person."""
    return frozenset(action for action in legal_actions(instance.status) if can(user, action, instance))


@dataclass(frozen=True, slots=True)
class Audience:
    """Who a wait asks: members of any of ``groups``, ``users`` by name or holders of ``permission``.

    Nobody named means every operator. Those in ``exclude`` are never asked, superusers or not.
    """

    groups: tuple[str, ...] = ()
    permission: str | None = None
    users: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Further permissions, whose holders are asked too."""

    @classmethod
    def of(cls, request: str | None) -> Audience:
        """Read it from ``OpenWait.request`` or ``HumanTask.assignment``.

        What can't be read asks nobody but superusers.
        """
        if request is None:
            return cls()
        try:
            asked: Any = json.loads(request)
        except ValueError:
            return UNREADABLE
        if not isinstance(asked, Mapping):
            return UNREADABLE
        permission = asked.get("permission")
        groups, users, exclude = (
            tuple(str(name) for name in asked.get(key) or ()) for key in ("groups", "users", "exclude")
        )
        return cls(groups, str(permission) if permission else None, users, exclude)

    @property
    def is_restricted(self) -> bool:
        """Whether somebody in particular is asked."""
        return bool(self.groups or self.users or self.permission or self.others)

    def excludes(self, user: Person) -> bool:
        """Whether the person is left out, such as the one who asked."""
        return user.get_username() in self.exclude

    def includes(self, user: Person) -> bool:
        """Whether the person is one of them. Superusers are; inactive, anonymous and excluded ones never."""
        if not user.is_active or self.excludes(user):
            return False
        if user.is_superuser or user.get_username() in self.users:
            return True
        if any(user.has_perm(permission) for permission in (self.permission, *self.others) if permission):
            return True
        return bool(self.groups) and not group_names(user).isdisjoint(self.groups)


UNREADABLE = Audience(permission="orchestrations.unreadable_request")  # no such permission: only superusers hold it


def group_names(user: Person) -> frozenset[str]:
    """The names of the groups that the person is in; of nobody who is inactive."""
    return holdings_of(user).groups


def can_answer(user: Person, wait: OpenWait) -> bool:
    """Whether the person may answer that wait.

    A wait that names groups or a permission is answered by those people only, who need no other right; an operator's
    general permission doesn't override the orchestrator's choice. One that names nobody needs ``raise_event``.
    """
    return may_answer(user, Audience.of(wait.request), wait.instance)


def may_answer(user: Person, audience: Audience, instance: Instance | None = None) -> bool:
    """The same of an audience, with the instance that asks it."""
    if audience.excludes(user):
        return False
    return audience.includes(user) if audience.is_restricted else can(user, Action.ANSWER, instance)


def audience_of(task: HumanTask) -> Audience:
    """Whom the task is put to now: also those whom it was escalated to. Nobody who was left out comes back."""
    asked = Audience.of(task.assignment)
    if task.escalated_at is None or task.escalation is None or asked is UNREADABLE:
        return asked
    also = Audience.of(task.escalation)
    if not asked.is_restricted or also is UNREADABLE:
        return replace(asked, exclude=asked.exclude + also.exclude)
    return Audience(
        asked.groups + also.groups,
        asked.permission,
        asked.users + also.users,
        asked.exclude + also.exclude,
        (*asked.others, *([also.permission] if also.permission else [])),
    )


def why_not(user: Person, task: HumanTask) -> str:
    """Why the person may not answer the task, in a sentence; empty where they may. Its state and votes don't count.

    One that is assigned to a person, and takes one vote to approve, is that person's alone.
    """
    audience = audience_of(task)
    if not user.is_active:
        return "Sign in to answer."
    if audience.excludes(user):
        return "You asked for this, or were left out, so somebody else decides."
    if task.assignee_id is not None and task.assignee_id == user.pk:
        return ""
    if not may_answer(user, audience):
        return "It is put to other people."
    if task.assignee_id is not None and task.quorum_approve == 1:
        return "It is assigned to somebody. Once it is released, you can answer."
    return ""


def may_see_task(user: Person, task: HumanTask) -> bool:
    """Whether the person may know of the task: asked, or left out by name, or allowed to see instances or override."""
    audience = audience_of(task)
    if not user.is_active:
        return False
    is_theirs = task.assignee_id is not None and task.assignee_id == user.pk
    if is_theirs or audience.excludes(user) or may_answer(user, audience):
        return True
    return can(user, Action.VIEW) or can(user, Action.OVERRIDE_TASK)


def require_answer(user: Person, wait: OpenWait) -> None:
    """Raise PermissionRefused unless ``can_answer`` says yes."""
    if not can_answer(user, wait):
        raise _refused(user, Action.ANSWER)


def can_raise_event(user: Person, instance: Instance, event_name: str) -> bool:
    """Whether the person may raise that event for the instance, by whatever interface.

    Needs ``raise_event``, and where the instance waits for that very event with a restricted audience, being one of
    it: raising the raw event is no way around the approval. An event that nobody waits for yet is only buffered, and
    the restriction of a later wait can't be known.
    """
    waits = [wait for wait in instance.open_waits.all() if wait.name.casefold() == event_name.casefold()]
    audiences = [Audience.of(wait.request) for wait in waits]
    if any(audience.is_restricted or audience.exclude for audience in audiences):
        return all(may_answer(user, audience, instance) for audience in audiences)
    return can(user, Action.RAISE_EVENT, instance)


def require_raise_event(user: Person, instance: Instance, event_name: str) -> None:
    """Raise PermissionRefused unless ``can_raise_event`` says yes."""
    if not can_raise_event(user, instance, event_name):
        raise _refused(user, Action.RAISE_EVENT)


def _refused(user: Person, action: Action) -> PermissionRefused:
    name = user.get_username() or "anonymous"
    return PermissionRefused(
        f"User {name!r} may not {action.value.replace('_', ' ')}. "
        f"Ask an administrator for the permission {action.permission}, or for the group that is asked."
    )
