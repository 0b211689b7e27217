"""What the answers of the wire format hold, for the schema. Handlers make them of stored JSON text, which is copied."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from orchestrations.core.status import RuntimeStatus


class Links(Struct, rename="camel"):
    """The id of what was started, and a link for each thing that can be done with it."""

    id: str
    status_query_get_uri: str
    send_event_post_uri: str
    terminate_post_uri: str
    rewind_post_uri: str
    purge_history_delete_uri: str
    restart_post_uri: str
    suspend_post_uri: str
    resume_post_uri: str


class Failure(Struct, rename="pascal"):
    """How something failed, with its cause."""

    error_type: str | None
    error_message: str | None
    stack_trace: str | None
    inner_failure: Failure | None
    is_non_retriable: bool
    properties: Any
    members: list[Failure] | UnsetType = UNSET
    """Those of a group of exceptions."""


class MergedEvent(Struct, rename="pascal", kw_only=True):
    """A history event, by its type with some of these; a completion with what it completes."""

    event_type: str
    timestamp: str
    scheduled_time: str | UnsetType = UNSET
    function_name: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    instance_id: str | UnsetType = UNSET
    input: Any = UNSET
    result: Any = UNSET
    reason: str | UnsetType | None = UNSET
    details: str | UnsetType | None = UNSET
    failure_details: Failure | UnsetType | None = UNSET
    orchestration_status: str | UnsetType | None = UNSET
    fire_at: str | UnsetType | None = UNSET
    entities: Any = UNSET


class Event(MergedEvent, kw_only=True, rename="pascal"):
    """A history event by itself, by its type with some of these."""

    sequence: int
    """Its number in the execution, from 1."""
    task_id: int | UnsetType = UNSET
    attempt: int | UnsetType = UNSET


class Status(Struct, rename="camel"):
    """How an instance stands. Payloads are any JSON, and null where they are not shown."""

    name: str
    instance_id: str
    runtime_status: RuntimeStatus
    input: Any
    custom_status: Any
    output: Any
    created_time: str
    last_updated_time: str
    forked_from: str | UnsetType = UNSET
    """Of a fork: the instance that was run again, and from which event on."""
    forked_step: int | UnsetType = UNSET
    history_events: list[MergedEvent] | UnsetType = UNSET
    """With ``showHistory``."""


class Purged(Struct, rename="camel"):
    """How many instances were deleted."""

    instances_deleted: int


class EntityKey(Struct):
    """What an entity is called."""

    name: str
    key: str


class EntityItem(Struct, rename="camel"):
    """An entity in a list."""

    entity_id: EntityKey
    last_operation_time: str
    state: Any
    """With ``fetchState``."""


class Error(Struct, rename="pascal"):
    """Why a request was refused."""

    message: str
    exception_message: str | UnsetType = UNSET
    """What was wrong, and what to do."""
    exception_type: str | UnsetType = UNSET
    """A stable code."""
    path: str | UnsetType = UNSET
    """Where in the body."""
    errors: dict[str, list[str]] | UnsetType = UNSET
    """Messages by place, of an answer that a form refuses and of the members of a webhook."""
    stack_trace: str | UnsetType = UNSET
    """With DEBUG alone."""
