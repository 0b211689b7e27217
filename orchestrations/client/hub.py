"""What every verb of the client is made of: its hub, the caller's transaction, the target instance, the audit row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

from orchestrations.access import audit
from orchestrations.access.permissions import Action
from orchestrations.authoring import payloads
from orchestrations.authoring.functions import RegisteredFunctions
from orchestrations.conf import get_config
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InstanceEnded, InstanceIsEntity, InstanceNotFound
from orchestrations.models import AuditEntry, Instance
from orchestrations.models.audit import Deed
from orchestrations.reading import queries
from orchestrations.store import get_store

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
    from django.db.models import QuerySet

LIVE = "Pending, Running or Suspended"


@dataclass(frozen=True, slots=True)
class SerializedJson:
    """JSON text that ``payloads.check_text`` has let through; a client stores it as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """What a plain read of an instance tells before a message is sent to it."""

    pk: int
    instance_id: str
    status: RuntimeStatus
    execution: int
    last_sequence: int


class HubClient:
    """A task hub, the one on whose behalf the client acts, and how a write joins the caller's transaction."""

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

    @contextmanager
    def _writing(self, *, one_statement: bool = False) -> Iterator[None]:
        """Join the caller's transaction, or open one; the workers hear of it when it commits.

        One statement needs no transaction of its own, and the hint goes with it: that saves three of five round trips.
        """
        with self._store.together() if one_statement else transaction.atomic(using=self.using):
            yield
            self._store.notify_workers()

    def _audit(
        self,
        deed: Action | Deed,
        instance_ids: Collection[str],
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        if self.actor is not None and instance_ids:
            audit.record(self.actor, deed, self.hub, instance_ids, self.using, reason=reason, details=details)

    def _audit_each(self, deed: Action | Deed, details: Mapping[str, Mapping[str, Any]], reason: str = "") -> None:
        if self.actor is not None and details:
            audit.record_each(self.actor, deed, self.hub, details, self.using, reason=reason)

    def _message_event(self, kind: EventType, attributes: dict[str, Any]) -> HistoryEvent:
        by = {"by": self.actor.name} if self.actor else {}
        return HistoryEvent(kind, datetime.now(UTC), attributes={**attributes, **by})

    def _rows(self, instance_id: str) -> QuerySet[Instance]:
        rows = Instance.objects.using(self.using)
        if is_entity_id(instance_id) or not queries.storable(instance_id):
            return rows.none()
        return rows.filter(hub=self.hub, instance_id=instance_id)

    def _target(self, instance_id: str) -> Target:
        """The orchestration instance. Raises InstanceNotFound, and InstanceIsEntity for an entity's id."""
        if is_entity_id(instance_id):
            raise InstanceIsEntity(instance_id)
        columns = ("pk", "instance_id", "status", "execution", "last_sequence")
        found = self._rows(instance_id).values_list(*columns).first()
        if found is None:
            raise InstanceNotFound(instance_id)
        pk, known_id, status, execution, last_sequence = found
        return Target(pk, known_id, RuntimeStatus(status), execution, last_sequence)

    def _live_target(self, instance_id: str, operation: str) -> Target:
        target = self._target(instance_id)
        if target.status.is_terminal:
            raise InstanceEnded(instance_id, target.status, operation, LIVE)
        return target


def encode(value: object, subject: str) -> str | None:
    """Any value as JSON text; ``subject`` says in errors what it is. Raises PayloadRejected."""
    return value.text if isinstance(value, SerializedJson) else payloads.encode(value, subject)
