"""Acts on many instances at once: a few statements for a hundred of them, and one audit row each.

The caller has read the instances, and knows that the act makes sense in their status and who may do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrations.access.permissions import Action
from orchestrations.client.arguments import check_reason
from orchestrations.client.messages import Messaging
from orchestrations.client.starting import Starting
from orchestrations.client.tagging import TOO_MANY, Tagging, tag_details
from orchestrations.core.events import EventType
from orchestrations.core.status import TERMINAL
from orchestrations.errors import DurableError
from orchestrations.limits import TAGS
from orchestrations.models import Instance
from orchestrations.reading import queries
from orchestrations.store.contract import Message, NewInstance, OnDuplicate

CONTROLS = {
    Action.TERMINATE: EventType.EXECUTION_TERMINATED,
    Action.SUSPEND: EventType.EXECUTION_SUSPENDED,
    Action.RESUME: EventType.EXECUTION_RESUMED,
    Action.REWIND: EventType.EXECUTION_REWOUND,
}


@dataclass(slots=True)
class Outcomes:
    """What became of each instance, by primary key. ``skipped`` and ``failed`` say why."""

    done: list[int] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


class ActingOnMany(Starting, Messaging, Tagging):
    """The verbs for many instances, all in the caller's transaction."""

    def control_many(
        self,
        action: Action,
        instances: Sequence[Instance],
        reason: str = "",
        *,
        recursive: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> Outcomes:
        """Terminate, suspend, resume or rewind the instances."""
        attributes: dict[str, Any] = {"reason": check_reason(reason)}
        if recursive or action is Action.TERMINATE:
            attributes["recursive"] = recursive
        messages = [self._control_message(action, instance, attributes) for instance in instances]
        with self._writing():
            self._store.send(messages)
            told = {name: value for name, value in attributes.items() if name != "reason"}
            self._audit_many(action, instances, reason, {**told, **(details or {})})
        return Outcomes(done=[instance.pk for instance in instances])

    def raise_event_for_many(
        self,
        instances: Sequence[Instance],
        event_name: str,
        payload: str | None,
        *,
        key: str,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> Outcomes:
        """Raise an event, its payload as JSON text, for each. ``key`` makes a second one to an instance harmless."""
        messages = []
        for instance in instances:
            event = self._message_event(EventType.EVENT_RAISED, {})
            event.name, event.payload = event_name, payload
            messages.append(Message(event, instance_pk=instance.pk, idempotency_key=f"event:{key}"))
        pks = [instance.pk for instance in instances]
        with self._writing():
            accepted = self._store.send(messages)
            ended: set[int] = set()
            if accepted < len(messages):  # some have ended since they were read, and events to them are dropped
                rows = Instance.objects.using(self.using).filter(pk__in=pks, status__in=TERMINAL)
                ended = set(rows.values_list("pk", flat=True))
            reached = [instance for instance in instances if instance.pk not in ended]
            self._audit_many(Action.RAISE_EVENT, reached, reason, {"event": event_name, **(details or {})})
        skipped = dict.fromkeys(sorted(ended), "It has ended.")
        return Outcomes(done=[instance.pk for instance in reached], skipped=skipped)

    def restart_many(
        self, instances: Sequence[Instance], reason: str = "", *, details: Mapping[str, Any] | None = None
    ) -> Outcomes:
        """Start each again under a new id, as ``restart`` does. The rows need START_COLUMNS."""
        outcomes = Outcomes()
        again: list[NewInstance] = []
        restarted: list[Instance] = []
        for instance in instances:
            try:
                again.append(self._again(instance))
            except DurableError as error:
                outcomes.failed[instance.pk] = str(error)
            else:
                restarted.append(instance)
        with self._writing():
            if again:
                self._store.create_instances(again, OnDuplicate.ERROR)
            for instance, started in zip(restarted, again, strict=True):
                known = {"orchestrator": started.name, "restarted": instance.instance_id, **(details or {})}
                self._audit(Action.RESTART, [started.instance_id], reason, known)
        outcomes.done = [instance.pk for instance in restarted]
        return outcomes

    def purge_many(
        self,
        instances: Sequence[Instance],
        reason: str = "",
        *,
        recursive: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> Outcomes:
        """Delete those that have ended, with ``recursive`` their ended sub-orchestrations too."""
        pks = [instance.pk for instance in instances]
        with self._writing():
            self._store.purge(queries.descendants(*pks, using=self.using) if recursive else pks)
            kept = set(Instance.objects.using(self.using).filter(pk__in=pks).values_list("pk", flat=True))
            gone = [instance for instance in instances if instance.pk not in kept]
            self._audit_many(Action.PURGE, gone, reason, {"recursive": recursive, **(details or {})})
        skipped = dict.fromkeys(sorted(kept), "It has not ended.")
        return Outcomes(done=[instance.pk for instance in gone], skipped=skipped)

    def set_tags_of_many(
        self,
        instances: Sequence[Instance],
        changes: Mapping[str, str | None],
        reason: str = "",
        *,
        details: Mapping[str, Any] | None = None,
    ) -> Outcomes:
        """Set tags, and remove those given as None. The rows need ``tags``."""
        with self._writing():
            changed = self._store.change_tags([instance.pk for instance in instances], changes, TAGS)
            tagged = [instance for instance in instances if instance.pk in changed]
            told = {row.instance_id: {**tag_details(changes, row.tags), **(details or {})} for row in tagged}
            self._audit_each(Action.SET_TAGS, told, reason)
        failed = {instance.pk: TOO_MANY for instance in instances if instance.pk not in changed}
        return Outcomes(done=[instance.pk for instance in tagged], failed=failed)

    def _control_message(self, action: Action, instance: Instance, attributes: dict[str, Any]) -> Message:
        message = Message(self._message_event(CONTROLS[action], attributes), instance_pk=instance.pk)
        if action is Action.REWIND:
            message.execution, message.idempotency_key = instance.execution, f"rewind:{instance.execution}"
        return message

    def _audit_many(
        self, action: Action, instances: Sequence[Instance], reason: str, details: Mapping[str, Any]
    ) -> None:
        told = {instance.instance_id: {"was": instance.status, **details} for instance in instances}
        self._audit_each(action, told, reason)
