"""Routes to entities: signals, states and lists. The key ``$`` in a path stands for the empty key."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from orchestrations.core.entity_ids import EntityId
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.problems import bad_argument
from orchestrations.interfaces.management_api.reading import CONTINUATION_HEADER, TOP, page_response
from orchestrations.interfaces.management_api.rendering import empty_response, json_response, stored_json
from orchestrations.models import Entity
from orchestrations.reading import queries
from orchestrations.reading.history_events import format_timestamp

EMPTY_KEY = "$"
DELETE = "delete"


def read(call: Call, name: str, key: str) -> HttpResponse:
    """The entity's state as it is stored; 404 without a body where it has none."""
    row = queries.get_entity(call.client.hub, _entity_id(name, key), using=call.client.using)
    if row is None or row.state is None:
        return empty_response(404)
    return json_response(stored_json(row.state) if call.caller.sees_payloads else None)


def signal(call: Call, name: str, key: str) -> HttpResponse:
    """Ask the operation ``op`` of the entity, which need not exist, with the body as its input."""
    target = _entity_id(name, key)
    operation = call.query.text("op")
    operation_input = call.json_or_text(f"entity {name!r}: input of the operation {operation!r}")
    call.client.signal_entity(target, operation, operation_input)
    return empty_response(202)


def delete(call: Call, name: str, key: str) -> HttpResponse:
    """Ask the entity to delete its state."""
    call.client.signal_entity(_entity_id(name, key), DELETE)
    return empty_response(202)


def list_entities(call: Call, name: str = "") -> HttpResponse:
    """A page of entities with a state, the latest operation first; with the states themselves on demand."""
    where = queries.EntityFilter(
        name=name,
        last_operation_from=call.query.instant("lastOperationTimeFrom"),
        last_operation_to=call.query.instant("lastOperationTimeTo"),
        visible=call.caller.visible,
    )
    fetches_state = call.query.flag("fetchState", False) and call.caller.sees_payloads
    page = queries.list_entities(
        call.client.hub,
        where,
        states=fetches_state,
        cursor=call.request.headers.get(CONTINUATION_HEADER),
        limit=call.query.count("top", TOP),
        using=call.client.using,
    )
    return page_response([_payload(row, fetches_state) for row in page.items], page.next_cursor)


def _payload(row: Entity, fetches_state: bool) -> dict[str, Any]:
    return {
        "entityId": {"name": row.name, "key": row.key},
        "lastOperationTime": format_timestamp(row.last_operation_at),
        "state": stored_json(row.state) if fetches_state else None,
    }


def _entity_id(name: str, key: str) -> EntityId:
    try:
        return EntityId(name, "" if key == EMPTY_KEY else key)
    except ValueError as error:
        raise bad_argument(str(error)) from error
