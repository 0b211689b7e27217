"""Routes that tell how instances stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db.models import F, QuerySet
from django.http import HttpResponse

from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InstanceNotFound
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.links import STATUS_RETRY_SECONDS, polling_location
from orchestrations.interfaces.management_api.rendering import (
    empty_response,
    event_items,
    json_response,
    status_payload,
)
from orchestrations.models import Instance
from orchestrations.reading import paging, queries
from orchestrations.reading.again import again_if_replaced
from orchestrations.reading.places import Place

TOP = 100
CONTINUATION_HEADER = "x-ms-continuation-token"


@again_if_replaced
def status(call: Call, instance_id: str) -> HttpResponse:
    """Tell how the instance stands: 202 while it is live, 200 when it has ended."""
    try:
        row = call.instance(instance_id, payloads=True)
    except InstanceNotFound:
        return empty_response(404)
    body = status_payload(
        row,
        call.client.using,
        show_input=call.query.flag("showInput", True),
        show_history=call.query.flag("showHistory", False),
        show_history_output=call.query.flag("showHistoryOutput", False),
        payloads=call.caller.sees_payloads,
    )
    if not row.runtime_status.is_terminal:
        location = polling_location(call.request, instance_id, call.caller)
        return json_response(body, 202, {"Location": location, "Retry-After": str(STATUS_RETRY_SECONDS)})
    is_error = row.runtime_status is RuntimeStatus.FAILED and call.query.flag(
        "returnInternalServerErrorOnFailure", False
    )
    return json_response(body, 500 if is_error else 200)


@again_if_replaced
def history(call: Call, instance_id: str) -> HttpResponse:
    """A page of one execution's history, each event by itself and in order; the token is as that of instances.

    ``from`` is the number of the first event, or an instant; ``type`` keeps to some types.
    """
    row = call.instance(instance_id)
    execution, after = call.query.number("execution") or row.execution, 0
    begin = call.query.place("from")
    since = begin if isinstance(begin, datetime) else None
    if isinstance(begin, int):
        after = begin - 1
    if token := call.request.headers.get(CONTINUATION_HEADER):
        place = Place.continued(token, row)
        execution, after = place.execution, place.sequence
    limit, types = call.query.count("top", TOP), call.query.event_types()
    page = queries.history_with_payloads(
        row, execution, after, limit, since=since, types=types, using=call.client.using
    )
    payloads = call.caller.sees_payloads
    shown = event_items(
        page.events,
        show_input=call.query.flag("showInput", True) and payloads,
        show_output=call.query.flag("showHistoryOutput", False) and payloads,
        payloads=payloads,
    )
    following = None if page.next_after is None else Place(execution, page.next_after).token(row)
    return page_response(shown, following)


def instance_filter(call: Call) -> queries.InstanceFilter:
    """Which instances a list, a count or a purge is about, among those that the caller may see."""
    return queries.InstanceFilter(
        statuses=call.query.statuses(),
        id_prefix=call.query.text("instanceIdPrefix"),
        created_from=call.query.instant("createdTimeFrom"),
        created_to=call.query.instant("createdTimeTo"),
        name=call.query.text("name"),
        version=call.query.optional("version"),
        tags=call.query.tags(),
        visible=call.caller.visible,
    )


@again_if_replaced
def list_instances(call: Call) -> HttpResponse:
    """A page of instances, newest first; the token of the next page is in a header, and absent on the last one."""
    where = instance_filter(call)
    payloads = call.caller.sees_payloads
    show_input = call.query.flag("showInput", True) and payloads
    rows = queries.filter_instances(call.client.hub, where, using=call.client.using)
    page = _page(call, rows, show_input=show_input)
    if call.query.flag("includeEntities", False):
        both = queries.filter_instances(call.client.hub, replace(where, with_entities=True), using=call.client.using)
        entities = _page(call, both.filter(is_entity=True), show_input=show_input)
        page = paging.merged(page, entities, "created_at", call.query.count("top", TOP))
    body = [status_payload(row, call.client.using, show_input=show_input, payloads=payloads) for row in page.items]
    return page_response(body, page.next_cursor)


def _page(call: Call, rows: QuerySet[Instance], *, show_input: bool) -> paging.Page[Instance]:
    rows = rows.annotate(parents_id=F("parent__instance_id"))  # else each row would ask for its parent's id
    return paging.keyset_page(
        rows if show_input else rows.defer("input"),
        "created_at",
        cursor=call.request.headers.get(CONTINUATION_HEADER),
        limit=call.query.count("top", TOP),
    )


def page_response(items: Sequence[object], next_cursor: str | None) -> HttpResponse:
    """A bare array, with the token of the next page in a header."""
    return json_response(items, headers={CONTINUATION_HEADER: next_cursor} if next_cursor else None)
