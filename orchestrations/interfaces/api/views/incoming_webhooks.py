"""Incoming webhooks: which requests of other systems start instances or raise events, and how these are signed."""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestrations.access.api_keys import Verb
from orchestrations.interfaces import webhook_keeping
from orchestrations.interfaces.api import serializers, webhook_serializers
from orchestrations.interfaces.api.pagination import page_response
from orchestrations.interfaces.api.schema import problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.interfaces.api.views.webhooks import GONE, told
from orchestrations.models import IncomingWebhook
from orchestrations.reading.paging import keyset_page

VIEW, ADD, CHANGE, DELETE = (f"orchestrations.{act}_incomingwebhook" for act in ("view", "add", "change", "delete"))
SHOWN = tuple(webhook_serializers.IncomingWebhookAnswer().fields)


class IncomingWebhooks(HubView):
    """All incoming webhooks of the task hub."""

    @needs(None, Verb.READ_WEBHOOKS, permission=VIEW)
    @extend_schema(
        operation_id="list_incoming_webhooks",
        parameters=[webhook_serializers.WebhookQuery],
        responses={200: webhook_serializers.IncomingWebhookPage, **problems(400, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """A page of the webhooks by which others act on this task hub, newest first."""
        asked = self.asked(webhook_serializers.WebhookQuery)
        rows = webhook_keeping.reach(IncomingWebhook, self.client, self.person)
        if "name" in asked:
            rows = rows.filter(name=asked["name"])
        page = keyset_page(rows, None, cursor=asked.get("cursor"), limit=asked["limit"])
        return page_response(request, page, lambda row: _webhook(request, row))

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=ADD)
    @extend_schema(
        operation_id="create_incoming_webhook",
        request=webhook_serializers.NewIncomingWebhookBody,
        responses={201: webhook_serializers.NewIncomingWebhookAnswer, **problems(400, 403, 409)},
    )
    def post(self, request: Request) -> Response:
        """Make a webhook, which takes the permission for what it does. The answer has the secret that was made.

        Names and slugs are given once, so that a repeated request makes no second one: it is answered 409.
        """
        given = self.given(webhook_serializers.NewIncomingWebhookBody)
        reason, secret = given.pop("reason"), given.pop("secret", "")
        webhook = IncomingWebhook(hub=self.hub, **given)
        made = webhook_keeping.create(self.client, self.person, webhook, secret=secret, reason=reason)
        url = reverse("api:incoming_webhook", args=[webhook.pk], request=request)
        body = {**_webhook(request, webhook), "secret": made or None}
        return Response(body, status=status.HTTP_201_CREATED, headers={"Location": url, "Cache-Control": "no-store"})


class IncomingWebhookView(HubView):
    """One incoming webhook."""

    @needs(None, Verb.READ_WEBHOOKS, permission=VIEW)
    @extend_schema(
        operation_id="get_incoming_webhook",
        responses={200: webhook_serializers.IncomingWebhookAnswer, **problems(403, 404)},
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """The webhook, with its address."""
        return Response(_webhook(request, _find(self, webhook_id)))

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=CHANGE)
    @extend_schema(
        operation_id="change_incoming_webhook",
        request=webhook_serializers.ChangeIncomingWebhookBody,
        responses={200: webhook_serializers.IncomingWebhookAnswer, **problems(400, 403, 404, 409)},
    )
    def patch(self, request: Request, webhook_id: int) -> Response:
        """Change what is sent along; the rest stays. Takes the permission for what the webhook does."""
        given = self.given(webhook_serializers.ChangeIncomingWebhookBody)
        reason = given.pop("reason")
        webhook = _find(self, webhook_id)
        changed = webhook_keeping.change(self.client, self.person, webhook, given, reason=reason)
        return Response(_webhook(request, changed))

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=DELETE)
    @extend_schema(
        operation_id="delete_incoming_webhook",
        parameters=[serializers.ReasonQuery],
        responses={**GONE, **problems(400, 403, 404)},
    )
    def delete(self, request: Request, webhook_id: int) -> Response:
        """Delete the webhook, which ends its address. What it has started goes on."""
        reason = self.asked(serializers.ReasonQuery)["reason"]
        webhook_keeping.delete(self.client, _find(self, webhook_id), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateIncomingSecret(HubView):
    """Another secret for an incoming webhook."""

    @needs(None, Verb.MANAGE_WEBHOOKS, permission=CHANGE)
    @extend_schema(
        operation_id="rotate_incoming_webhook_secret",
        request=webhook_serializers.SecretBody,
        responses={200: webhook_serializers.SecretAnswer, **problems(400, 403, 404)},
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """Take the sender's new secret, or make one and tell it this once. The former one counts for a day more."""
        given = self.given(webhook_serializers.SecretBody)
        webhook = _find(self, webhook_id)
        made = webhook_keeping.rotate(self.client, webhook, secret=given.get("secret", ""), reason=given["reason"])
        return told(webhook, made)


def _find(view: HubView, webhook_id: int) -> IncomingWebhook:
    return webhook_keeping.find(IncomingWebhook, webhook_id, view.client, view.person)


def _webhook(request: Request, row: IncomingWebhook) -> dict[str, Any]:
    try:
        address = reverse("webhooks:receive", args=[row.slug], request=request)
    except NoReverseMatch:
        address = None
    return {name: address if name == "address" else getattr(row, name) for name in SHOWN}
