"""Messages to instances: external events, and the control verbs that work whatever the state of their code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrations.access.permissions import Action
from orchestrations.client.arguments import check_event_name, check_idempotency_key, check_reason
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient, encode
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InstanceEnded, InvalidTransition, PayloadRejected
from orchestrations.reading import queries
from orchestrations.store.contract import Message


class Messaging(HubClient):
    """Raises events; terminates, suspends, resumes and rewinds."""

    def raise_event(
        self, instance_id: str, event_name: str, event_data: object = None, *, idempotency_key: str | None = None
    ) -> None:
        """Raise an external event for a live instance, which receives it once, in the order of raising.

        Before it is waited for, and while the instance is Pending or Suspended, the event is kept. A second event with
        the same ``idempotency_key`` has no effect for two days, also where the first has been taken long ago.

        Raises InstanceNotFound, InstanceEnded and PayloadRejected.
        """
        event = self._message_event(EventType.EVENT_RAISED, {})
        try:
            event.name = check_event_name(event_name)
            event.payload = encode(event_data, f"the event {event_name!r}")
            key = check_idempotency_key(idempotency_key)
        except PayloadRejected:
            self._live_target(instance_id, "raising an event")  # that it is gone matters more than what was sent
            raise
        message = Message(event, instance_id=instance_id, idempotency_key=None if key is None else f"event:{key}")
        self._send(message, instance_id, Action.RAISE_EVENT, details={"event": event_name})

    def terminate(self, instance_id: str, reason: str = "", *, recursive: bool = True) -> None:
        """End a live instance as Terminated with the reason as its output; running activities are not interrupted.

        With ``recursive`` its live sub-orchestrations end too. No code of the orchestrator runs any more.
        Raises InstanceNotFound and InstanceEnded.
        """
        self._control(EventType.EXECUTION_TERMINATED, Action.TERMINATE, instance_id, reason, recursive=recursive)

    def suspend(self, instance_id: str, reason: str = "", *, recursive: bool = False) -> None:
        """Pause a live instance: it decides nothing more, and what arrives is kept in order, until it is resumed.

        Running activities end, and sub-orchestrations go on; with ``recursive`` the live ones are suspended too. Has no
        effect on one that is Suspended already. Raises InstanceNotFound and InstanceEnded.
        """
        self._control(EventType.EXECUTION_SUSPENDED, Action.SUSPEND, instance_id, reason, **_if_true(recursive))

    def resume(self, instance_id: str, reason: str = "", *, recursive: bool = False) -> None:
        """Let a suspended instance go on with what has arrived meanwhile. Has no effect on one that is not suspended.

        With ``recursive`` its live sub-orchestrations are resumed too. Raises InstanceNotFound and InstanceEnded.
        """
        self._control(EventType.EXECUTION_RESUMED, Action.RESUME, instance_id, reason, **_if_true(recursive))

    def rewind(self, instance_id: str, reason: str = "") -> None:
        """Let a Failed instance go on from before its failure: what failed runs again, what succeeded does not.

        Failed sub-orchestrations that it waited for are rewound with it; rewinding one alone leaves its parent as it
        is. A second call before the first takes effect does nothing. The history of the execution that is left stays,
        for ``get_history``; the audit row says which execution that was and how many events it has.

        Raises InstanceNotFound, InvalidTransition for a live instance, and InstanceEnded for one that has ended
        otherwise than Failed.
        """
        target = self._target(instance_id)
        if target.status is not RuntimeStatus.FAILED:
            error = InstanceEnded if target.status.is_terminal else InvalidTransition
            raise error(instance_id, target.status, "rewind", "Failed")
        message = Message(
            self._message_event(EventType.EXECUTION_REWOUND, {"reason": check_reason(reason)}),
            instance_pk=target.pk,
            execution=target.execution,
            idempotency_key=f"rewind:{target.execution}",
        )
        left = {"was": target.status.value, "execution": target.execution, "events": target.last_sequence}
        self._send(message, target.instance_id, Action.REWIND, reason, left)

    araise_event = async_twin(raise_event)
    aterminate = async_twin(terminate)
    asuspend = async_twin(suspend)
    aresume = async_twin(resume)
    arewind = async_twin(rewind)

    def _send(
        self,
        message: Message,
        instance_id: str,
        action: Action,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        with self._writing(one_statement=self.actor is None):
            is_sendable = queries.storable(instance_id) and not is_entity_id(instance_id)
            while not (is_sendable and self._store.send([message])):
                self._live_target(instance_id, action.value)  # says whether it never was there or has ended
            self._audit(action, [instance_id], reason, details)

    def _control(self, kind: EventType, action: Action, instance_id: str, reason: str, **attributes: object) -> None:
        # Sent even where the status says that there is nothing to do: an opposite message may be on its way already,
        # and the last one sent must win.
        target = self._live_target(instance_id, action.value)
        event = self._message_event(kind, {"reason": check_reason(reason), **attributes})
        told = {"was": target.status.value, **attributes}
        self._send(Message(event, instance_pk=target.pk), target.instance_id, action, reason, told)


def _if_true(recursive: bool) -> dict[str, bool]:
    return {"recursive": True} if recursive else {}
