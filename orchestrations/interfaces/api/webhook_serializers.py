"""What requests about webhooks may hold, and what webhooks and their messages look like."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from orchestrations.interfaces.api.serializers import (
    PAYLOAD_STATES,
    PAYLOADS_ARE,
    Asked,
    Flag,
    Json,
    PageQuery,
    ReasonBody,
    Text,
)
from orchestrations.limits import (
    HUB_LENGTH,
    NAME_LENGTH,
    WEBHOOK_NAME_LENGTH,
    WEBHOOK_URL_LENGTH,
)
from orchestrations.models import IncomingWebhook, WebhookDelivery
from orchestrations.webhooks.rules import EVENTS, SHORTEST_SECRET

HEADER_LENGTH, PREFIX_LENGTH, TEMPLATE_LENGTH = 100, 40, 1_000  # characters, as the columns
SLUG = "^[-a-zA-Z0-9_]+$"
LARGEST_NUMBER = 2**31 - 1  # that a column of numbers takes on every database
SECRET_LENGTH = 1_000  # characters; the specification's have 100
OF_THE_SENDER = "The one that the sender shows; one is made unless it is given. Behind `whsec_` it is base64."


# Outgoing ---------------------------------------------------------------------------------------------------------


@extend_schema_field(
    {"type": "array", "items": {"type": "string", "enum": list(EVENTS)}, "minItems": 1, "uniqueItems": True}
)
class Events(serializers.ListField):
    """What a webhook hears of, each once."""

    def __init__(self, **options: Any) -> None:
        options["child"] = serializers.ChoiceField(EVENTS)
        super().__init__(allow_empty=False, **options)


class WebhookQuery(PageQuery):
    """Which webhooks."""

    name = Text(required=False, max_length=WEBHOOK_NAME_LENGTH, help_text="The whole name.")


class ChangeWebhookBody(ReasonBody):
    """What is to be another with a webhook; what is left out stays."""

    name = Text(required=False, max_length=WEBHOOK_NAME_LENGTH)
    url = Text(required=False, max_length=WEBHOOK_URL_LENGTH, help_text="Where messages are posted to.")
    events = Events(required=False, help_text="What it hears of.")
    hub = Text(
        required=False,
        allow_blank=True,
        max_length=HUB_LENGTH,
        help_text="The task hub that it hears of: this one, which a new webhook has, or empty for every one.",
    )
    name_pattern = Text(
        required=False, max_length=NAME_LENGTH, help_text="Of which orchestrators: a name, or `order_*`. New: `*`."
    )
    include_payloads = Flag(
        required=False, help_text="Whether inputs and outputs go along; needs `view_payloads`. New: `false`."
    )
    enabled = Flag(required=False, help_text="One that is enabled again begins anew. New: `true`.")


class NewWebhookBody(ChangeWebhookBody):
    """A webhook to be made."""

    name = Text(max_length=WEBHOOK_NAME_LENGTH)
    url = Text(max_length=WEBHOOK_URL_LENGTH, help_text="Where messages are posted to.")
    events = Events(help_text="What it hears of.")


class WebhookAnswer(serializers.Serializer[Any]):
    """An outgoing webhook. Its secret was told when it was made, and is told never again."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    hub = serializers.CharField(help_text="Empty for every task hub.")
    name_pattern = serializers.CharField()
    include_payloads = serializers.BooleanField()
    enabled = serializers.BooleanField()
    failing_since = serializers.DateTimeField(allow_null=True, help_text="Null while its messages are accepted.")
    disabled_reason = serializers.CharField(help_text="Why workers have disabled it; empty otherwise.")
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until when the secret before the present one counts too."
    )
    created_at = serializers.DateTimeField()


class NewWebhookAnswer(WebhookAnswer):
    """An outgoing webhook that was just made, with the secret that signs its messages."""

    secret = serializers.CharField(help_text="Told this once.")


class WebhookPage(serializers.Serializer[Any]):
    """One page of outgoing webhooks, newest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = WebhookAnswer(many=True)


class SecretAnswer(serializers.Serializer[Any]):
    """A webhook's new secret."""

    secret = serializers.CharField(allow_null=True, help_text="Told this once; null where you gave it.")
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until when the former one counts too."
    )


# Messages ---------------------------------------------------------------------------------------------------------


class DeliveryQuery(PageQuery):
    """Which messages of a webhook."""

    state = serializers.ChoiceField(WebhookDelivery.State.values, required=False)


class DeliveryAnswer(serializers.Serializer[Any]):
    """A message to a webhook's address, and what has become of it."""

    id = serializers.IntegerField()
    message_id = serializers.CharField(help_text="The header `webhook-id`, the same with every attempt.")
    event = serializers.CharField()
    instance_id = serializers.CharField()
    execution = serializers.IntegerField()
    state = serializers.ChoiceField(WebhookDelivery.State.values)
    attempts = serializers.IntegerField()
    last_status = serializers.IntegerField(allow_null=True, help_text="What the receiver answered last.")
    last_error = serializers.CharField(help_text="Why the last attempt failed; empty otherwise.")
    created_at = serializers.DateTimeField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)


class DeliveryDetail(DeliveryAnswer):
    """A message with what it says. Inputs and outputs are added when it is sent, and not kept."""

    message = Json(help_text="Null without the permission to see payloads.")
    payloads = serializers.ChoiceField(PAYLOAD_STATES, help_text=PAYLOADS_ARE)


class DeliveryPage(serializers.Serializer[Any]):
    """One page of messages, newest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = DeliveryAnswer(many=True)


# Incoming ---------------------------------------------------------------------------------------------------------


class SigningFields(Asked):
    """How requests are signed."""

    scheme = serializers.ChoiceField(IncomingWebhook.Scheme.values, required=False, help_text="New: `standard`.")
    signature_header = Text(required=False, allow_blank=True, max_length=HEADER_LENGTH)
    signature_prefix = Text(required=False, allow_blank=True, max_length=PREFIX_LENGTH)
    signature_encoding = serializers.ChoiceField(["hex", "base64"], required=False, help_text="New: `hex`.")
    signed_content = Text(
        required=False,
        allow_blank=True,
        max_length=HEADER_LENGTH,
        help_text="With `{body}`, and `{timestamp}` and `{id}` where the sender signs those too. New: `{body}`.",
    )
    timestamp_header = Text(required=False, allow_blank=True, max_length=HEADER_LENGTH)
    id_header = Text(required=False, allow_blank=True, max_length=HEADER_LENGTH)


class ChangeIncomingWebhookBody(SigningFields, ReasonBody):
    """What is to be another with an incoming webhook; what is left out stays."""

    name = Text(required=False, max_length=WEBHOOK_NAME_LENGTH)
    slug = serializers.RegexField(
        SLUG, required=False, max_length=WEBHOOK_NAME_LENGTH, help_text="The end of its address."
    )
    enabled = Flag(required=False, help_text="New: `true`.")
    act = serializers.ChoiceField(IncomingWebhook.Act.values, required=False, help_text="New: `start`.")
    orchestrator = Text(required=False, allow_blank=True, max_length=NAME_LENGTH, help_text="What a request starts.")
    event_name = Text(
        required=False, allow_blank=True, max_length=NAME_LENGTH, help_text="The event that a request raises."
    )
    instance_id = Text(
        required=False,
        allow_blank=True,
        max_length=TEMPLATE_LENGTH,
        help_text="Such as `order-{body.order.id}`; empty for a new id with each start.",
    )
    mapping = Json(required=False, help_text="The input, with paths in its texts; null for the whole body.")
    requests_per_minute = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=LARGEST_NUMBER, help_text="Null for any number."
    )


class NewIncomingWebhookBody(ChangeIncomingWebhookBody):
    """An incoming webhook to be made."""

    name = Text(max_length=WEBHOOK_NAME_LENGTH)
    slug = serializers.RegexField(SLUG, max_length=WEBHOOK_NAME_LENGTH, help_text="The end of its address.")
    secret = Text(required=False, min_length=SHORTEST_SECRET, max_length=SECRET_LENGTH, help_text=OF_THE_SENDER)


class SecretBody(ReasonBody):
    """A secret of the sender's choice."""

    secret = Text(required=False, min_length=SHORTEST_SECRET, max_length=SECRET_LENGTH, help_text=OF_THE_SENDER)


class IncomingWebhookAnswer(serializers.Serializer[Any]):
    """An incoming webhook. Its secret is never shown."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    slug = serializers.CharField()
    address = serializers.URLField(allow_null=True, help_text="Null where this site takes no webhooks.")
    enabled = serializers.BooleanField()
    scheme = serializers.ChoiceField(IncomingWebhook.Scheme.values)
    signature_header = serializers.CharField()
    signature_prefix = serializers.CharField()
    signature_encoding = serializers.CharField()
    signed_content = serializers.CharField()
    timestamp_header = serializers.CharField()
    id_header = serializers.CharField()
    act = serializers.ChoiceField(IncomingWebhook.Act.values)
    orchestrator = serializers.CharField()
    event_name = serializers.CharField()
    instance_id = serializers.CharField()
    mapping = Json()
    requests_per_minute = serializers.IntegerField(allow_null=True)
    previous_secret_until = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class NewIncomingWebhookAnswer(IncomingWebhookAnswer):
    """An incoming webhook that was just made."""

    secret = serializers.CharField(allow_null=True, help_text="The one that was made, told this once; else null.")


class IncomingWebhookPage(serializers.Serializer[Any]):
    """One page of incoming webhooks, newest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = IncomingWebhookAnswer(many=True)
