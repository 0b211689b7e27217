"""The one write door: starts orchestrations, raises events and controls instances, from any Django code.

Every write joins the transaction that the caller has open on the hub's database, so that it happens if and only if that
commits; the audit row and the hint to the workers are part of it. No row of an instance is locked here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.db.transaction import TransactionManagementError

from orchestrations import audit, queries
from orchestrations.arguments import (
    check_event_name,
    check_idempotency_key,
    check_instant,
    check_reason,
    check_tags,
    check_version,
)
from orchestrations.async_twins import async_twin
from orchestrations.authoring import payloads
from orchestrations.authoring.functions import RegisteredFunctions
from orchestrations.authoring.registry import registry
from orchestrations.conf import get_config
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import (
    InstanceAlreadyExists,
    InstanceEnded,
    InstanceNotFound,
    InvalidTransition,
    PayloadRejected,
)
from orchestrations.history_events import project_history
from orchestrations.instance_ids import check_instance_id, new_instance_id
from orchestrations.limits import STATUSES_BY_QUERY
from orchestrations.models import AuditEntry, Instance
from orchestrations.orchestration_status import OrchestrationStatus, decode_lenient
from orchestrations.permissions import Action
from orchestrations.polling import poll_delays
from orchestrations.store import get_store
from orchestrations.store.contract import Message, NewInstance, OnDuplicate

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
    from django.db.models import QuerySet

DEFAULT_WAIT_SECONDS = 60.0
PURGE_BATCH = 500  # instances deleted by one transaction: locks are held for a moment only
LIVE = "Pending, Running or Suspended"


@dataclass(frozen=True, slots=True)
class SerializedJson:
    """JSON text that ``payloads.check_text`` has let through; a client stores it as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class PurgeHistoryResult:
    """How many instances a purge deleted."""

    instances_deleted: int


@dataclass(frozen=True, slots=True)
class _Target:
    """What a plain read of an instance tells before a message is sent to it."""

    pk: int
    instance_id: str
    status: RuntimeStatus
    execution: int


class OrchestrationClient:
    """A task hub, seen from outside. Cheap to make; each method has an async twin whose name begins with ``a``.

    ``actor`` is the person (a user, or a name such as ``system key``) on whose behalf the client acts; with one, every
    act leaves an audit row, which says ``via`` what and from which ``address`` it came. Without one it is the program
    that acts, and there is none. Permissions are the caller's affair: see ``orchestrations.permissions``.
    """

    def __init__(
        self,
        hub: str | None = None,
        using: str | None = None,
        via: AuditEntry.Via | None = None,
        actor: AbstractBaseUser | AnonymousUser | str | None = None,
        address: str | None = None,
    ) -> None:
        config = get_config()
        self.hub = hub or config.task_hub
        self.using = using or config.database
        self.actor = None if actor is None else audit.Actor.of(actor, via or AuditEntry.Via.API, address)
        self._store = get_store(self.hub, self.using)
        self._functions = RegisteredFunctions()

    # Starting ----------------------------------------------------------------------------------------------------

    def start_new(
        self,
        orchestration: object,
        instance_id: str | None = None,
        client_input: object = None,
        *,
        start_at: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        version: str | None = None,
        on_duplicate: OnDuplicate | str = OnDuplicate.REPLACE_TERMINAL,
    ) -> str:
        """Start an orchestration, given as function or by name, and return its instance id.

        It begins once the caller's transaction has committed, and not before ``start_at``. By default an ended instance
        under the same id is replaced with its history and a live one refused; of concurrent starts exactly one wins.

        Raises FunctionNotRegistered, InvalidInstanceId, PayloadRejected (input or tags) and InstanceAlreadyExists.
        """
        instance = self._new_instance(orchestration, instance_id, client_input, tags, version)
        instance.start_at = check_instant(start_at, "start_at")
        self._create([instance], OnDuplicate(on_duplicate), Action.START)
        return instance.instance_id

    def start_many(
        self, orchestration: object, inputs: Iterable[object], *, tags: Mapping[str, str] | None = None
    ) -> list[str]:
        """Start one instance for each input, all of them or none, and return their ids in the order of the inputs.

        Raises FunctionNotRegistered and PayloadRejected.
        """
        instances = [self._new_instance(orchestration, None, value, tags, None) for value in inputs]
        if instances:
            self._create(instances, OnDuplicate.ERROR, Action.START)
        return [instance.instance_id for instance in instances]

    def restart(self, instance_id: str, restart_with_new_instance_id: bool = True) -> str:
        """Start the same orchestration with the same input, tags and version, and return the instance id.

        By default under a new id, whatever the status; else under the same one, which must have ended. It gets no
        parent. Raises InstanceNotFound, InstanceAlreadyExists and FunctionNotRegistered.
        """
        row = self._rows(instance_id).only("instance_id", "name", "input", "tags", "version").first()
        if row is None:
            raise InstanceNotFound(instance_id)
        again = NewInstance(
            instance_id=new_instance_id() if restart_with_new_instance_id else row.instance_id,
            name=registry.orchestrator(row.name).name,
            version=row.version,
            input=row.input,
            tags=dict(row.tags),
        )
        self._create([again], OnDuplicate.REPLACE_TERMINAL, Action.RESTART, {"restarted": row.instance_id})
        return again.instance_id

    # Messages ----------------------------------------------------------------------------------------------------

    def raise_event(
        self, instance_id: str, event_name: str, event_data: object = None, *, idempotency_key: str | None = None
    ) -> None:
        """Raise an external event for a live instance, which receives it once, in the order of raising.

        Before it is waited for, and while the instance is Pending or Suspended, the event is kept. A second event with
        the same ``idempotency_key`` has no effect while the first is on its way.

        Raises InstanceNotFound, InstanceEnded and PayloadRejected.
        """
        event = self._message_event(EventType.EVENT_RAISED, {})
        try:
            event.name = check_event_name(event_name)
            event.payload = _encode(event_data, f"the event {event_name!r}")
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

    def suspend(self, instance_id: str, reason: str = "") -> None:
        """Pause a live instance: it decides nothing more, and what arrives is kept in order, until it is resumed.

        Has no effect on one that is Suspended already. Raises InstanceNotFound and InstanceEnded.
        """
        self._control(EventType.EXECUTION_SUSPENDED, Action.SUSPEND, instance_id, reason)

    def resume(self, instance_id: str, reason: str = "") -> None:
        """Let a suspended instance go on with what has arrived meanwhile. Has no effect on one that is not suspended.

        Raises InstanceNotFound and InstanceEnded.
        """
        self._control(EventType.EXECUTION_RESUMED, Action.RESUME, instance_id, reason)

    def rewind(self, instance_id: str, reason: str = "") -> None:
        """Let a Failed instance go on from before its failure: what failed runs again, what succeeded does not.

        A second call before the first takes effect does nothing. Raises InstanceNotFound, InvalidTransition for a
        live instance, and InstanceEnded for one that has ended otherwise than Failed.
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
        self._send(message, target.instance_id, Action.REWIND, reason)

    # Purging -----------------------------------------------------------------------------------------------------

    def purge_instance_history(
        self, instance_id: str, *, recursive: bool = False, reason: str = ""
    ) -> PurgeHistoryResult:
        """Delete an ended instance with its history; with ``recursive`` its ended sub-orchestrations too.

        The audit row keeps the ``reason``. Raises InstanceNotFound, and InvalidTransition for a live one.
        """
        target = self._target(instance_id)
        if not target.status.is_terminal:
            raise InvalidTransition(instance_id, target.status, "purge", "Completed, Failed, Terminated or Canceled")
        with self._writing():
            deleted = self._store.purge(queries.descendants(target.pk, using=self.using) if recursive else [target.pk])
            self._audit(Action.PURGE, [target.instance_id], check_reason(reason), {"instances": deleted})
        return PurgeHistoryResult(deleted)

    def purge_instance_history_by(
        self,
        created_time_from: datetime,
        created_time_to: datetime | None = None,
        runtime_status: Iterable[RuntimeStatus | str] = (),
        *,
        limit: int | None = None,
    ) -> PurgeHistoryResult:
        """Delete the ended instances that were created in that window, the oldest first; live ones are left alone.

        Goes in batches, each in a transaction of its own unless the caller has one open; ``limit`` bounds the whole.
        """
        chosen = {RuntimeStatus(status) for status in runtime_status} or set(queries.ENDED)
        where = queries.InstanceFilter(
            statuses=tuple(status for status in queries.ENDED if status in chosen),
            created_from=check_instant(created_time_from, "created_time_from"),
            created_to=check_instant(created_time_to, "created_time_to"),
        )
        if not where.statuses:
            return PurgeHistoryResult(0)
        rows = queries.filter_instances(self.hub, where, using=self.using).order_by("created_at", "pk")
        deleted = 0
        while limit is None or deleted < limit:
            batch = dict(rows.values_list("pk", "instance_id")[: min(PURGE_BATCH, (limit or PURGE_BATCH) - deleted)])
            gone = self._purge_batch(batch) if batch else 0
            deleted += gone
            if not gone:
                break
        return PurgeHistoryResult(deleted)

    # Reading -----------------------------------------------------------------------------------------------------

    def get_status(
        self,
        instance_id: str,
        show_history: bool = False,
        show_history_output: bool = False,
        show_input: bool = True,
    ) -> OrchestrationStatus | None:
        """A snapshot of the instance, or None where the id is unknown.

        History is that of the current execution up to the same moment, and is read only with ``show_history``.
        """
        try:
            row = queries.get_instance(self.hub, instance_id, payloads=True, using=self.using)
        except InstanceNotFound:
            return None
        events: list[dict[str, Any]] | None = None
        if show_history and row.runtime_status is not RuntimeStatus.PENDING:
            events = project_history(
                queries.whole_history(row, using=self.using),
                value=decode_lenient,
                show_input=show_input,
                show_output=show_history_output,
            )
        return OrchestrationStatus.of(row, show_input=show_input, history=events)

    def get_status_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Iterable[RuntimeStatus | str] = (),
        *,
        instance_id_prefix: str = "",
        show_input: bool = False,
        limit: int = STATUSES_BY_QUERY,
    ) -> list[OrchestrationStatus]:
        """Snapshots of the instances that were created in that window with one of those statuses, newest first.

        At most ``limit`` of them, because each comes with its payloads; ``queries.list_instances`` goes through any
        number without them.
        """
        where = queries.InstanceFilter(
            statuses=tuple(RuntimeStatus(status) for status in runtime_status),
            id_prefix=instance_id_prefix,
            created_from=check_instant(created_time_from, "created_time_from"),
            created_to=check_instant(created_time_to, "created_time_to"),
        )
        rows = queries.filter_instances(self.hub, where, using=self.using).order_by("-created_at", "-pk")
        if not show_input:
            rows = rows.defer("input")
        return [OrchestrationStatus.of(row, show_input=show_input) for row in rows[:limit]]

    def wait_for_completion(
        self, instance_id: str, timeout: timedelta | float | None = DEFAULT_WAIT_SECONDS
    ) -> OrchestrationStatus:
        """Wait until the instance has ended and return its status; ``timeout`` in seconds, None for no end.

        Looks at the status column alone, first after 2 ms, then ever less often (a tenth of the time waited so far, at
        most 0.5 s). Raises WaitTimeout, InstanceNotFound, and TransactionManagementError inside ``atomic()``, where
        what the caller has started can't begin before the caller is done.
        """
        for delay in poll_delays(instance_id, timeout):
            if self._has_ended(instance_id):
                break
            time.sleep(delay)
        return self._known_status(instance_id)

    async def await_for_completion(
        self, instance_id: str, timeout: timedelta | float | None = DEFAULT_WAIT_SECONDS
    ) -> OrchestrationStatus:
        """``wait_for_completion`` for async code; holds no thread while it waits."""
        for delay in poll_delays(instance_id, timeout):
            if await sync_to_async(self._has_ended, thread_sensitive=True)(instance_id):
                break
            await asyncio.sleep(delay)
        return await sync_to_async(self._known_status, thread_sensitive=True)(instance_id)

    # Async twins -------------------------------------------------------------------------------------------------

    astart_new = async_twin(start_new)
    astart_many = async_twin(start_many)
    arestart = async_twin(restart)
    araise_event = async_twin(raise_event)
    aterminate = async_twin(terminate)
    asuspend = async_twin(suspend)
    aresume = async_twin(resume)
    arewind = async_twin(rewind)
    apurge_instance_history = async_twin(purge_instance_history)
    apurge_instance_history_by = async_twin(purge_instance_history_by)
    aget_status = async_twin(get_status)
    aget_status_by = async_twin(get_status_by)

    # What they are made of ---------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, *, one_statement: bool = False) -> Iterator[None]:
        """Join the caller's transaction, or open one; the workers hear of it when it commits.

        One statement needs no transaction of its own: that saves two of four round trips to the database.
        """
        with nullcontext() if one_statement else transaction.atomic(using=self.using):
            yield
            self._store.notify_workers()

    def _create(
        self,
        instances: list[NewInstance],
        on_duplicate: OnDuplicate,
        action: Action,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        is_alone = self.actor is None and all(instance.has_fresh_id for instance in instances)
        with self._writing(one_statement=is_alone):
            outcomes = self._store.create_instances(instances, on_duplicate)
            for outcome in outcomes:
                if not outcome.created and on_duplicate is not OnDuplicate.RETURN_EXISTING:
                    raise InstanceAlreadyExists(outcome.instance_id, outcome.existing_status or "Pending")
            started = [outcome.instance_id for outcome in outcomes if outcome.created]
            self._audit(action, started, details={"orchestrator": instances[0].name, **(details or {})})

    def _send(
        self,
        message: Message,
        instance_id: str,
        action: Action,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        with self._writing(one_statement=self.actor is None):
            while not (queries.storable(instance_id) and self._store.send([message])):
                self._live_target(instance_id, action.value)  # says whether it never was there or has ended
            self._audit(action, [instance_id], reason, details)

    def _control(self, kind: EventType, action: Action, instance_id: str, reason: str, **attributes: object) -> None:
        # Sent even where the status says that there is nothing to do: an opposite message may be on its way already,
        # and the last one sent must win.
        target = self._live_target(instance_id, action.value)
        event = self._message_event(kind, {"reason": check_reason(reason), **attributes})
        self._send(Message(event, instance_pk=target.pk), target.instance_id, action, reason, attributes)

    def _purge_batch(self, batch: Mapping[int, str]) -> int:
        with self._writing():
            deleted = self._store.purge(list(batch))
            kept = set(Instance.objects.using(self.using).filter(pk__in=list(batch)).values_list("pk", flat=True))
            self._audit(Action.PURGE, [instance_id for pk, instance_id in batch.items() if pk not in kept])
        return deleted

    def _audit(
        self,
        action: Action,
        instance_ids: Collection[str],
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        if self.actor is not None and instance_ids:
            audit.record(self.actor, action, self.hub, instance_ids, self.using, reason=reason, details=details)

    def _new_instance(
        self,
        orchestration: object,
        instance_id: str | None,
        value: object,
        tags: Mapping[str, str] | None,
        version: str | None,
    ) -> NewInstance:
        definition = registry.orchestrator(self._functions.orchestrator_name(orchestration))
        text = value.text if isinstance(value, SerializedJson) else definition.encode_input(value)
        definition.decode_input(text)  # whether it fits is told now, not by a failed instance
        return NewInstance(
            instance_id=new_instance_id() if instance_id is None else check_instance_id(instance_id),
            name=definition.name,
            version=check_version(definition.version if version is None else version),
            input=text,
            tags=check_tags(tags),
            has_fresh_id=instance_id is None,
        )

    def _message_event(self, kind: EventType, attributes: dict[str, Any]) -> HistoryEvent:
        by = {"by": self.actor.name} if self.actor else {}
        return HistoryEvent(kind, datetime.now(UTC), attributes={**attributes, **by})

    def _rows(self, instance_id: str) -> QuerySet[Instance]:
        rows = Instance.objects.using(self.using)
        return rows.filter(hub=self.hub, instance_id=instance_id) if queries.storable(instance_id) else rows.none()

    def _target(self, instance_id: str) -> _Target:
        columns = ("pk", "instance_id", "status", "execution")
        found = self._rows(instance_id).values_list(*columns).first()
        if found is None:
            raise InstanceNotFound(instance_id)
        pk, known_id, status, execution = found
        return _Target(pk, known_id, RuntimeStatus(status), execution)

    def _live_target(self, instance_id: str, operation: str) -> _Target:
        target = self._target(instance_id)
        if target.status.is_terminal:
            raise InstanceEnded(instance_id, target.status, operation, LIVE)
        return target

    def _has_ended(self, instance_id: str) -> bool:
        if self._target(instance_id).status.is_terminal:
            return True
        if connections[self.using].in_atomic_block:
            raise TransactionManagementError(
                f"wait_for_completion of {instance_id!r} is inside a transaction, whose work nobody else can see yet. "
                "Wait after the atomic() block."
            )
        return False

    def _known_status(self, instance_id: str) -> OrchestrationStatus:
        status = self.get_status(instance_id)
        if status is None:
            raise InstanceNotFound(instance_id)
        return status


def _encode(value: object, subject: str) -> str | None:
    return value.text if isinstance(value, SerializedJson) else payloads.encode(value, subject)
