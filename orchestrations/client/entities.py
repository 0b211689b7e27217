"""Entities from outside: signals to them, their states, and the removal of those that are empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from orchestrations.access.permissions import Action
from orchestrations.authoring.registry import registry
from orchestrations.client.arguments import check_instant, check_reason
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient, encode
from orchestrations.client.orchestration_status import decode_lenient
from orchestrations.core.entities import unlock
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.events import EventType
from orchestrations.core.identifiers import check_operation_name
from orchestrations.core.status import TERMINAL
from orchestrations.errors import PayloadRejected
from orchestrations.limits import LIST_PAGE, LIST_PAGE_MAXIMUM, STATUSES_BY_QUERY
from orchestrations.models import Entity, Instance
from orchestrations.reading import queries
from orchestrations.reading.again import again_if_replaced
from orchestrations.store.contract import Message

CLEANED_AT_ONCE = 500  # entities looked at by one transaction
ALL_ENTITIES = "@"  # what an audit row names whose act concerns no one of them


@dataclass(frozen=True, slots=True)
class EntityState:
    """What was known of an entity at one moment."""

    entity_id: EntityId
    entity_exists: bool
    entity_state: Any = None
    """The state as plain JSON; None also where it was not asked for."""
    last_operation_at: datetime | None = None
    """When a worker last carried out operations of it."""
    locked_by: str | None = None
    """The id of the orchestration that holds its lock."""
    backlog_size: int = 0
    """Messages that wait for the lock to be released."""

    @classmethod
    def of(cls, row: Entity, *, with_state: bool = True) -> EntityState:
        """Describe a row."""
        exists = row.state is not None if with_state else bool(getattr(row, "exists", False))
        return cls(
            entity_id=EntityId(row.name, row.key),
            entity_exists=exists,
            entity_state=decode_lenient(row.state) if with_state else None,
            last_operation_at=row.last_operation_at,
            locked_by=row.locked_by or None,
            backlog_size=row.backlog,
        )

    @property
    def id(self) -> EntityId:
        """``entity_id`` under durabletask's name."""
        return self.entity_id

    @property
    def last_modified(self) -> datetime | None:
        """``last_operation_at`` under durabletask's name."""
        return self.last_operation_at


@dataclass(frozen=True, slots=True)
class EntityPage:
    """One page of entities, the latest operation first. ``next_cursor`` leads on; None at the end."""

    items: list[EntityState]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class EntityQuery:
    """Which entities to find, with the names of the durabletask SDK. Instants are aware, the later one exclusive.

    ``include_transient`` adds those that have been deleted and not yet been cleaned away.
    """

    instance_id_starts_with: str = ""
    last_modified_from: datetime | None = None
    last_modified_to: datetime | None = None
    include_state: bool = True
    include_transient: bool = False
    page_size: int | None = None


@dataclass(frozen=True, slots=True)
class CleanEntityStorageResult:
    """What ``clean_entity_storage`` has done."""

    empty_entities_removed: int
    orphaned_locks_released: int


class Entities(HubClient):
    """Signals, reads, lists and cleans entities."""

    def signal_entity(
        self,
        entity_id: EntityId | str,
        operation_name: str,
        operation_input: object = None,
        signal_time: datetime | None = None,
        *,
        input: object = None,
    ) -> None:
        """Ask an operation of an entity, which need not exist, and go on. It happens once, in the order of signalling.

        It goes out when the caller's transaction commits, and is carried out not before ``signal_time`` (aware).
        Raises ValueError for what is no entity id, FunctionNotRegistered and PayloadRejected.
        """
        target = EntityId.of(entity_id)
        registry.entity(target.name)
        value = operation_input if input is None else input
        event = self._message_event(EventType.ENTITY_SIGNALED, {})
        event.name = _checked_operation(operation_name)
        event.payload = encode(value, f"the input of the operation {operation_name!r}")
        message = Message(event, instance_id=str(target), visible_at=check_instant(signal_time, "signal_time"))
        with self._writing():
            self._store.send([message])
            self._audit(Action.SIGNAL_ENTITY, [str(target)], details={"operation": event.name})

    @again_if_replaced
    def read_entity_state(self, entity_id: EntityId | str) -> EntityState:
        """The entity's state as it was last written; ``entity_exists`` says whether there is one."""
        target = EntityId.of(entity_id)
        row = queries.get_entity(self.hub, target, using=self.using)
        return EntityState(target, entity_exists=False) if row is None else EntityState.of(row)

    @again_if_replaced
    def get_entity(self, entity_id: EntityId | str, include_state: bool = True) -> EntityState | None:
        """What is known of an entity, or None where it has no state and never had, or was cleaned away."""
        row = queries.get_entity(self.hub, EntityId.of(entity_id), using=self.using)
        if row is None:
            return None
        state = EntityState.of(row)
        return state if include_state else replace(state, entity_state=None)

    @again_if_replaced
    def list_entities(
        self,
        name: str = "",
        *,
        last_operation_from: datetime | None = None,
        last_operation_to: datetime | None = None,
        include_state: bool = False,
        include_deleted: bool = False,
        visible: tuple[str, ...] | None = None,
        cursor: str | None = None,
        limit: int = LIST_PAGE,
    ) -> EntityPage:
        """A page of the entities of that name, or of all, whose last operation was in that window, the latest first.

        At most LIST_PAGE_MAXIMUM. ``visible`` keeps to certain names, as ``permissions.names_open_to`` tells them.
        Raises InvalidCursor, and ValueError for naive instants.
        """
        where = queries.EntityFilter(
            name=name,
            last_operation_from=check_instant(last_operation_from, "last_operation_from"),
            last_operation_to=check_instant(last_operation_to, "last_operation_to"),
            include_deleted=include_deleted,
            visible=visible,
        )
        return self._page(where, include_state, cursor, limit)

    def get_all_entities(self, query: EntityQuery | None = None) -> list[EntityState]:
        """The entities that the query finds, the latest operation first, at most STATUSES_BY_QUERY of them.

        Raises ValueError for naive instants. ``list_entities`` goes through any number.
        """
        query = query or EntityQuery()
        name, separator, key = query.instance_id_starts_with.removeprefix("@").partition("@")
        if separator and not name:
            return []  # no entity is without a name
        where = queries.EntityFilter(
            name=name if separator else "",
            name_prefix="" if separator else name,
            key_prefix=key,
            last_operation_from=check_instant(query.last_modified_from, "last_modified_from"),
            last_operation_to=check_instant(query.last_modified_to, "last_modified_to"),
            include_deleted=query.include_transient,
        )
        found: list[EntityState] = []
        cursor: str | None = None
        while len(found) < STATUSES_BY_QUERY:
            page = self._page(where, query.include_state, cursor, query.page_size or LIST_PAGE_MAXIMUM)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found[:STATUSES_BY_QUERY]

    def clean_entity_storage(
        self, remove_empty_entities: bool = True, release_orphaned_locks: bool = True, *, reason: str = ""
    ) -> CleanEntityStorageResult:
        """Remove entities without a state that nothing is on its way to, and release locks whose owner has ended.

        It goes in batches, each in a transaction of its own unless the caller has one open. An entity that is being
        signalled stays; a lock is released by a message, which a worker carries out. The audit row has the ``reason``.
        """
        why, removed, released = check_reason(reason), 0, 0
        if release_orphaned_locks:
            released = sum(map(self._release, self._batches(self._entities().exclude(locked_by=""))))
        if remove_empty_entities:
            removed = sum(map(self._remove, self._batches(self._entities(state__isnull=True, locked_by=""))))
        with self._writing():
            details = {"removed": removed, "released": released}
            self._audit(Action.CLEAN_ENTITIES, [ALL_ENTITIES], why, details)
        return CleanEntityStorageResult(removed, released)

    asignal_entity = async_twin(signal_entity)
    aread_entity_state = async_twin(read_entity_state)
    aget_entity = async_twin(get_entity)
    alist_entities = async_twin(list_entities)
    aget_all_entities = async_twin(get_all_entities)
    aclean_entity_storage = async_twin(clean_entity_storage)

    def _page(self, where: queries.EntityFilter, states: bool, cursor: str | None, limit: int) -> EntityPage:
        page = queries.list_entities(self.hub, where, states=states, cursor=cursor, limit=limit, using=self.using)
        return EntityPage([EntityState.of(row, with_state=states) for row in page.items], page.next_cursor)

    def _entities(self, **condition: Any) -> QuerySet[Entity]:
        return Entity.objects.using(self.using).filter(hub=self.hub, **condition).defer("state")

    def _batches(self, rows: QuerySet[Entity]) -> Iterator[list[Entity]]:
        """All of them by ascending key, each once, whatever is removed meanwhile."""
        last = 0
        while batch := list(rows.filter(pk__gt=last).order_by("pk")[:CLEANED_AT_ONCE]):
            last = batch[-1].pk
            yield batch

    def _remove(self, batch: list[Entity]) -> int:
        return self._store.remove_entities([row.instance_id for row in batch])

    def _release(self, batch: list[Entity]) -> int:
        owners = Instance.objects.using(self.using).filter(
            hub=self.hub, instance_id__in={row.locked_by for row in batch}
        )
        live = set(owners.exclude(status__in=TERMINAL).values_list("instance_id", flat=True))
        orphaned = [row for row in batch if row.locked_by not in live]
        if orphaned:
            now = datetime.now(UTC)
            with self._writing():
                self._store.send(
                    [Message(unlock(row.lock_id, [str(row)], now), instance_pk=row.instance_id) for row in orphaned]
                )
        return len(orphaned)


def _checked_operation(name: str) -> str:
    try:
        return check_operation_name(name)
    except ValueError as error:
        raise PayloadRejected(str(error), subject="operation name") from error
