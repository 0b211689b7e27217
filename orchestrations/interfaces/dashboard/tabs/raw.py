"""The rows of an instance as they are, for support: everything but the payloads, which are told by their size."""

from __future__ import annotations

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.http import HttpRequest

from orchestrations import payload_files
from orchestrations.access.permissions import Action, can
from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.presentation.payloads import size_words
from orchestrations.interfaces.dashboard.presentation.redaction import redact, redact_text
from orchestrations.models import ActivityWorkItem, Entity, InboxMessage, Instance, OpenWait, Timer, WorkerLease
from orchestrations.models.payloads import PayloadField

ROWS = 50  # of each table
PARSED = {"waits", "attributes", "request", "heartbeat_details", "functions"}
BELONGING: dict[str, type[models.Model]] = {
    "open_waits": OpenWait,
    "inbox": InboxMessage,
    "work_items": ActivityWorkItem,
    "timers": Timer,
    "entity": Entity,
}


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """The rows as JSON, for who may see payloads: names of events and heartbeats tell as much."""
    if not can(person(request), Action.VIEW_PAYLOADS, instance):
        return {"may_view_payloads": False}
    return {"may_view_payloads": True, "document": document(instance), "rows_shown": ROWS}


def document(instance: Instance) -> str:
    """The instance's row and what belongs to it: the newest rows of each table, and the lease that it is held by."""
    using = get_config().database
    row = Instance.objects.using(using).get(pk=instance.pk)
    found: dict[str, object] = {"instance": _columns(row)}
    for name, model in BELONGING.items():
        rows = model._default_manager.using(using).filter(instance_id=instance.pk).order_by("-pk")
        found[name] = [_columns(one) for one in rows[:ROWS]]
    lease = WorkerLease.objects.using(using).filter(token=row.lease_token).first() if row.lease_token else None
    found["lease"] = _columns(lease) if lease is not None else None
    return json.dumps(found, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)


def _columns(row: models.Model) -> dict[str, object]:
    return {field.attname: _value(field, row.__dict__.get(field.attname)) for field in row._meta.concrete_fields}


def _value(field: models.Field[Any, Any], value: object) -> object:
    if not isinstance(value, str):
        return redact(value)
    if isinstance(field, PayloadField):
        is_file = payload_files.is_reference(value)
        size = payload_files.size_of(value) if is_file else len(value.encode("utf-8", "replace"))
        return f"{size_words(size)}{f' in the file {payload_files.name_of(value)}' if is_file else ''}"
    if field.attname in PARSED:
        try:
            return redact(json.loads(value))
        except ValueError:
            return value
    return redact_text(value)
