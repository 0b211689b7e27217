"""Outgoing webhooks: who hears of what, and the messages to them, which may be sent once more."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestrations.access.api_keys import Verb
from orchestrations.interfaces import webhook_keeping
from orchestrations.interfaces.api import descriptions, serializers, webhook_serializers
from orchestrations.interfaces.api.pagination import page_response
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.models import OutgoingWebhook, WebhookDelivery
from orchestrations.reading.paging import keyset_page

VIEW, ADD, CHANGE, DELETE = (f"orchestrations.{act}_outgoingwebhook" for act in ("view", "add", "change", "delete"))
VIEW_MESSAGES = "orchestrations.view_webhookdelivery"
GONE = {204: OpenApiResponse(description="It is gone.")}
SHOWN = tuple(webhook_serializers.WebhookAnswer().fields)
OF_MESSAGE = tuple(webhook_serializers.DeliveryAnswer().fields)


class Webhooks(HubView):
    """All outgoing webhooks of the task hub."""

    @needs(None, Verb.READ_WEBHOOKS, permission=VIEW)
    @extend_schema(
        operation_id="list_webhooks",
        parameters=[webhook_serializers.WebhookQuery],
        responses={200: webhook_serializers.WebhookPage, **problems(400, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """A page of the webhooks that hear of this task hub, or of every one, newest first."""
        asked = self.asked(webhook_serializers.WebhookQuery)
        rows = webhook_keeping.reach(OutgoingWebhook, self.client, self.person)
        if "name" in asked:
            rows = rows.filter(name=asked["name"])
        page = keyset_page(rows, None, cursor=asked.get("cursor"), limit=asked["limit"])
        return page_response(request, page, _webhook)

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=ADD)
    @extend_schema(
        operation_id="create_webhook",
        request=webhook_serializers.NewWebhookBody,
        responses={201: webhook_serializers.NewWebhookAnswer, **problems(400, 403, 409)},
    )
    def post(self, request: Request) -> Response:
        """Make a webhook. The answer has its secret, this once.

        A name is given once, so that a repeated request makes no second one: it is answered 409.
        """
        given = self.given(webhook_serializers.NewWebhookBody)
        reason = given.pop("reason")
        webhook = OutgoingWebhook(**{"hub": self.hub, **given})
        secret = webhook_keeping.create(self.client, self.person, webhook, reason=reason)
        url = reverse("api:webhook", args=[webhook.pk], request=request)
        body = {**_webhook(webhook), "secret": secret}
        return Response(body, status=status.HTTP_201_CREATED, headers={"Location": url, "Cache-Control": "no-store"})


class Webhook(HubView):
    """One outgoing webhook."""

    @needs(None, Verb.READ_WEBHOOKS, permission=VIEW)
    @extend_schema(operation_id="get_webhook", responses={200: webhook_serializers.WebhookAnswer, **problems(403, 404)})
    def get(self, request: Request, webhook_id: int) -> Response:
        """The webhook, and whether its address fails."""
        return Response(_webhook(_find(self, webhook_id)))

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=CHANGE)
    @extend_schema(
        operation_id="change_webhook",
        request=webhook_serializers.ChangeWebhookBody,
        responses={200: webhook_serializers.WebhookAnswer, **problems(400, 403, 404, 409)},
    )
    def patch(self, request: Request, webhook_id: int) -> Response:
        """Change what is sent along; the rest stays. Workers know of it within five seconds."""
        given = self.given(webhook_serializers.ChangeWebhookBody)
        reason = given.pop("reason")
        webhook = _find(self, webhook_id)
        return Response(_webhook(webhook_keeping.change(self.client, self.person, webhook, given, reason=reason)))

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=DELETE)
    @extend_schema(
        operation_id="delete_webhook",
        parameters=[serializers.ReasonQuery],
        responses={**GONE, **problems(400, 403, 404)},
    )
    def delete(self, request: Request, webhook_id: int) -> Response:
        """Delete the webhook. Messages that it has not had yet are never sent."""
        reason = self.asked(serializers.ReasonQuery)["reason"]
        webhook_keeping.delete(self.client, _find(self, webhook_id), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateSecret(HubView):
    """Another secret for an outgoing webhook."""

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=CHANGE)
    @extend_schema(
        operation_id="rotate_webhook_secret",
        request=serializers.ReasonBody,
        responses={200: webhook_serializers.SecretAnswer, **problems(400, 403, 404)},
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """Make a new secret, and tell it this once. For a day messages are signed by the former one too."""
        reason = self.given(serializers.ReasonBody)["reason"]
        webhook = _find(self, webhook_id)
        return told(webhook, webhook_keeping.rotate(self.client, webhook, reason=reason))


class Deliveries(HubView):
    """The messages of one webhook."""

    @needs(None, Verb.READ_WEBHOOKS, permission=VIEW_MESSAGES)
    @extend_schema(
        operation_id="list_deliveries",
        parameters=[webhook_serializers.DeliveryQuery],
        responses={200: webhook_serializers.DeliveryPage, **problems(400, 403, 404)},
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """A page of the messages about this task hub, newest first."""
        asked = self.asked(webhook_serializers.DeliveryQuery)
        rows = webhook_keeping.messages(self.client, _find(self, webhook_id)).defer("body")
        if "state" in asked:
            rows = rows.filter(state=asked["state"])
        page = keyset_page(rows, None, cursor=asked.get("cursor"), limit=asked["limit"])
        return page_response(request, page, _message)


class Delivery(HubView):
    """One message of a webhook."""

    @needs(None, Verb.READ_WEBHOOKS, permission=VIEW_MESSAGES)
    @extend_schema(
        operation_id="get_delivery", responses={200: webhook_serializers.DeliveryDetail, **problems(403, 404)}
    )
    def get(self, request: Request, webhook_id: int, delivery_id: int) -> Response:
        """What the message says, and what has become of it."""
        row = webhook_keeping.find_message(self.client, _find(self, webhook_id), delivery_id)
        message = msgspec.json.decode(row.body) if self.sees_all_payloads else None
        state = descriptions.payload_state(is_shown=self.sees_all_payloads)
        return Response({**_message(row), "message": message, "payloads": state})


class Resend(HubView):
    """A message, sent once more."""

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=CHANGE)
    @extend_schema(
        operation_id="resend_delivery",
        request=serializers.ReasonBody,
        responses={202: webhook_serializers.DeliveryAnswer, **problems(400, 403, 404)},
    )
    def post(self, request: Request, webhook_id: int, delivery_id: int) -> Response:
        """Put a message that is dead, or any other, back into the outbox, with all its attempts before it."""
        reason = self.given(serializers.ReasonBody)["reason"]
        row = webhook_keeping.find_message(self.client, _find(self, webhook_id), delivery_id)
        [sent] = webhook_keeping.send_again(self.client, [row.pk], reason=reason)
        return Response(_message(sent), status=status.HTTP_202_ACCEPTED)


def told(webhook: webhook_keeping.Webhook, secret: str) -> Response:
    """The answer with a secret that was made, which no cache keeps."""
    body = {"secret": secret or None, "previous_secret_until": webhook.previous_secret_until}
    return Response(body, headers={"Cache-Control": "no-store"})


def _find(view: HubView, webhook_id: int) -> OutgoingWebhook:
    return webhook_keeping.find(OutgoingWebhook, webhook_id, view.client, view.person)


def _webhook(row: OutgoingWebhook) -> dict[str, Any]:
    return {name: getattr(row, name) for name in SHOWN}


def _message(row: WebhookDelivery) -> dict[str, Any]:
    return {name: getattr(row, name) for name in OF_MESSAGE}
