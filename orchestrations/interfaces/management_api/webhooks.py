"""Routes to outgoing webhooks and their messages, by the same rules as in the admin and in the REST API."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.encoding import iri_to_uri
from msgspec import UNSET

from orchestrations.interfaces import webhook_keeping
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.parameters import row_number
from orchestrations.interfaces.management_api.reading import CONTINUATION_HEADER, TOP, page_response
from orchestrations.interfaces.management_api.rendering import (
    empty_response,
    instant_text,
    json_response,
    stored_json,
)
from orchestrations.interfaces.management_api.shapes import Delivery, NewWebhook, Secret, Webhook, WebhookChanges
from orchestrations.models import OutgoingWebhook, WebhookDelivery
from orchestrations.reading.paging import keyset_page


def list_webhooks(call: Call) -> HttpResponse:
    """A page of the webhooks that hear of this task hub, or of every one, newest first; the token is as ever."""
    rows = webhook_keeping.reach(OutgoingWebhook, call.client, call.caller.program)
    if name := call.query.text("name"):
        rows = rows.filter(name=name)
    cursor, limit = call.request.headers.get(CONTINUATION_HEADER), call.query.count("top", TOP)
    page = keyset_page(rows, None, cursor=cursor, limit=limit)
    return page_response([_webhook(row) for row in page.items], page.next_cursor)


def create(call: Call) -> HttpResponse:
    """Make a webhook, and tell its secret, this once."""
    given = call.body(NewWebhook, "webhook").values()
    row = OutgoingWebhook(**{"hub": call.client.hub, **given})
    secret = webhook_keeping.create(call.client, call.caller.program, row, reason=call.query.reason())
    address = call.request.build_absolute_uri(f"{call.request.path.rstrip('/')}/{row.pk}")
    return json_response(_webhook(row, secret), 201, {"Location": iri_to_uri(address)})


def read(call: Call, number: str) -> HttpResponse:
    """Tell of one webhook, and whether its address fails."""
    return json_response(_webhook(_find(call, number)))


def change(call: Call, number: str) -> HttpResponse:
    """Change what is sent along; the rest stays."""
    row, given = _find(call, number), call.body(WebhookChanges, "webhook").values()
    changed = webhook_keeping.change(call.client, call.caller.program, row, given, reason=call.query.reason())
    return json_response(_webhook(changed))


def delete(call: Call, number: str) -> HttpResponse:
    """Delete the webhook. Messages that it has not had yet are never sent."""
    webhook_keeping.delete(call.client, _find(call, number), reason=call.query.reason())
    return empty_response(204)


def rotate_secret(call: Call, number: str) -> HttpResponse:
    """Make a new secret, and tell it this once; for a day messages are signed by the former one too."""
    row = _find(call, number)
    secret = webhook_keeping.rotate(call.client, row, reason=call.query.reason())
    return json_response(Secret(secret, instant_text(row.previous_secret_until)))


def list_deliveries(call: Call, number: str) -> HttpResponse:
    """A page of the webhook's messages about this task hub, newest first; the token is as ever."""
    rows = webhook_keeping.messages(call.client, _find(call, number)).defer("body")
    if states := call.query.delivery_states():
        rows = rows.filter(state__in=states)
    cursor, limit = call.request.headers.get(CONTINUATION_HEADER), call.query.count("top", TOP)
    page = keyset_page(rows, None, cursor=cursor, limit=limit)
    return page_response([_delivery(row) for row in page.items], page.next_cursor)


def read_delivery(call: Call, number: str, message: str) -> HttpResponse:
    """Tell what a message says, and what has become of it."""
    row = webhook_keeping.find_message(call.client, _find(call, number), row_number(message))
    return json_response(_delivery(row, stored_json(row.body) if call.caller.sees_payloads else None))


def resend(call: Call, number: str, message: str) -> HttpResponse:
    """Put a message that is dead, or any other, back into the outbox, with all its attempts before it."""
    row = webhook_keeping.find_message(call.client, _find(call, number), row_number(message))
    [sent] = webhook_keeping.send_again(call.client, [row.pk], reason=call.query.reason())
    return json_response(_delivery(sent), 202)


def _find(call: Call, number: str) -> OutgoingWebhook:
    return webhook_keeping.find(OutgoingWebhook, row_number(number), call.client, call.caller.program)


def _webhook(row: OutgoingWebhook, secret: str = "") -> Webhook:
    return Webhook(
        id=row.pk,
        name=row.name,
        url=row.url,
        events=row.events,
        hub=row.hub,
        name_pattern=row.name_pattern,
        include_payloads=row.include_payloads,
        enabled=row.enabled,
        failing_since=instant_text(row.failing_since),
        disabled_reason=row.disabled_reason,
        previous_secret_until=instant_text(row.previous_secret_until),
        created_time=instant_text(row.created_at),
        secret=secret or UNSET,
    )


def _delivery(row: WebhookDelivery, message: Any = UNSET) -> Delivery:
    return Delivery(
        id=row.pk,
        message_id=row.message_id,
        event=row.event,
        instance_id=row.instance_id,
        execution=row.execution,
        state=row.state,
        attempts=row.attempts,
        last_status=row.last_status,
        last_error=row.last_error,
        created_time=instant_text(row.created_at),
        next_attempt_time=instant_text(row.next_attempt_at),
        delivered_time=instant_text(row.delivered_at),
        message=message,
    )
