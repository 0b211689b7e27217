"""Rows as this API writes them."""

from __future__ import annotations

import json
from typing import Any

from rest_framework.request import Request
from rest_framework.reverse import reverse

from orchestrations.access.permissions import available_actions
from orchestrations.client.entities import EntityState
from orchestrations.client.orchestration_status import decode_lenient
from orchestrations.errors import PayloadUnavailable
from orchestrations.interfaces.answers import json_object
from orchestrations.models import AuditEntry, HistoryEvent, Instance, OpenWait, WorkerLease
from orchestrations.reading import queries
from orchestrations.reading.paging import CappedCount

SUMMARY = (
    "instance_id",
    "name",
    "version",
    "status",
    "tags",
    "execution",
    "error",
    "waiting_for",
    "created_at",
    "scheduled_start_at",
    "started_at",
    "last_updated_at",
    "completed_at",
)
EVENT = (
    "sequence",
    "type",
    "timestamp",
    "task_id",
    "attempt",
    "name",
)
WORKER = ("worker", "started_at", "heartbeat_at", "expires_at", "in_flight", "capacity")
AUDIT = ("id", "at", "instance_id", "action", "reason", "details", "via")

SHOWN = "shown"
WITHHELD = "withheld"


def instance_url(request: Request, instance_id: str) -> str:
    """The instance's address."""
    return reverse("api:instance", args=[instance_id], request=request)


def summary(request: Request, row: Instance) -> dict[str, Any]:
    """An instance as lists show it."""
    return {name: getattr(row, name) for name in SUMMARY} | {"url": instance_url(request, row.instance_id)}


def detail(request: Request, row: Instance, *, payloads: bool) -> dict[str, Any]:
    """An instance whose payload columns are loaded; they are null unless ``payloads``, and where a file is missing."""
    shown: dict[str, Any] = dict.fromkeys(queries.PAYLOAD_COLUMNS)
    unavailable = []
    for name in queries.PAYLOAD_COLUMNS if payloads else ():
        try:
            shown[name] = decode_lenient(getattr(row, name))
        except PayloadUnavailable:
            unavailable.append(name)
    return {
        **summary(request, row),
        "parent_instance_id": row.parent.instance_id if row.parent else None,
        "forked_from": row.forked_from,
        "forked_step": row.forked_step,
        "blocked_at": row.blocked_at,
        "waits": json.loads(row.waits or "[]"),
        "actions": sorted(action.value for action in available_actions(request.user, row)),
        **shown,
        "payloads": payload_state(is_shown=payloads),
        "unavailable_payloads": unavailable,
    }


def streamed(request: Request, row: Instance, *, payloads: bool) -> dict[str, Any]:
    """An instance as its stream of events tells of it."""
    custom_status = decode_lenient(row.custom_status) if payloads else None
    return {**summary(request, row), "custom_status": custom_status, "payloads": payload_state(is_shown=payloads)}


def payload_state(*, is_shown: bool) -> str:
    """What tells a payload that is null from one that the caller may not see."""
    return SHOWN if is_shown else WITHHELD


def history_event(row: HistoryEvent, *, payloads: bool) -> dict[str, Any]:
    """An event of a page of history."""
    return {
        **{name: getattr(row, name) for name in EVENT},
        "attributes": json_object(row.attributes),
        "payload_preview": row.payload_preview if payloads else None,  # type: ignore[attr-defined]
        "payload_length": row.payload_length,  # type: ignore[attr-defined]
    }


def wait(row: OpenWait) -> dict[str, Any]:
    """An open wait with its instance."""
    asked = json_object(row.request).get("summary")
    return {
        "id": row.pk,
        "instance_id": row.instance.instance_id,
        "event": row.name,
        "since": row.since,
        "due_at": row.due_at,
        "title": row.title,
        "summary": {str(key): str(value) for key, value in asked.items()} if isinstance(asked, dict) else {},
        "location": row.location,
    }


def count(status: str, counted: CappedCount) -> dict[str, Any]:
    """How many instances have the status."""
    return {"status": status, "count": counted.value, "is_capped": counted.is_capped}


def worker(row: WorkerLease) -> dict[str, Any]:
    """A worker process."""
    return {name: getattr(row, name) for name in WORKER} | {"functions": json_object(row.functions)}


def audit_entry(row: AuditEntry) -> dict[str, Any]:
    """A row of the audit trail."""
    return {name: getattr(row, name) for name in AUDIT} | {"actor": row.actor_name}


def entity(state: EntityState, *, payloads: bool) -> dict[str, Any]:
    """An entity."""
    return {
        "name": state.entity_id.name,
        "key": state.entity_id.key,
        "exists": state.entity_exists,
        "state": state.entity_state if payloads else None,
        "payloads": payload_state(is_shown=payloads),
        "last_operation_at": state.last_operation_at,
        "locked_by": state.locked_by,
        "backlog_size": state.backlog_size,
    }
