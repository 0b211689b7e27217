"""Incoming webhooks: signed requests of other systems that start instances or raise events."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from orchestrations.limits import HUB_LENGTH, INSTANCE_ID_LENGTH, NAME_LENGTH, WEBHOOK_NAME_LENGTH
from orchestrations.models.clock import Now
from orchestrations.models.webhooks import SigningSecret


class IncomingWebhook(SigningSecret):
    """An address to which another system posts signed requests; each starts an instance or raises an event."""

    class Scheme(models.TextChoices):
        STANDARD = "standard", "Standard Webhooks"
        GITHUB = "github", "GitHub (X-Hub-Signature-256)"
        HEADER = "header", "A header of your choice"

    class Act(models.TextChoices):
        START = "start", "Start an orchestration"
        RAISE_EVENT = "raise_event", "Raise an event for an instance"

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=WEBHOOK_NAME_LENGTH, unique=True, help_text="Audit entries give this name.")
    slug = models.SlugField(
        max_length=WEBHOOK_NAME_LENGTH, unique=True, help_text="The end of its address: /webhooks/in/<slug>/."
    )
    enabled = models.BooleanField(default=True)
    hub = models.CharField("task hub", max_length=HUB_LENGTH)

    scheme = models.CharField(max_length=10, choices=Scheme, default=Scheme.STANDARD)
    signature_header = models.CharField(
        max_length=100, default="", blank=True, help_text="For a header of your choice, such as X-Signature."
    )
    signature_prefix = models.CharField(
        max_length=40, default="", blank=True, help_text="What stands before the signature, such as sha256=."
    )
    signature_encoding = models.CharField(
        max_length=10, default="hex", choices=[("hex", "hexadecimal"), ("base64", "base64")]
    )
    signed_content = models.CharField(
        max_length=100,
        default="{body}",
        help_text="What is signed: {body}, with {timestamp} and {id} where the sender signs those too.",
    )
    timestamp_header = models.CharField(
        max_length=100,
        default="",
        blank=True,
        help_text="Has the time of sending in seconds; empty where there is none.",
    )
    id_header = models.CharField(
        max_length=100, default="", blank=True, help_text="Has the message's id; empty where there is none."
    )

    act = models.CharField("action", max_length=20, choices=Act, default=Act.START)
    orchestrator = models.CharField(max_length=NAME_LENGTH, default="", blank=True)
    event_name = models.CharField(
        "event", max_length=NAME_LENGTH, default="", blank=True, help_text="May hold paths: {headers.x-github-event}."
    )
    instance_id = models.CharField(
        "instance id",
        max_length=1_000,
        default="",
        blank=True,
        help_text="May hold paths: order-{body.order.id}. Empty for a new id with each start.",
    )
    mapping = models.JSONField(
        "input",
        null=True,
        blank=True,
        help_text='JSON with paths in its texts, such as {"order": "{body.order}", "kind": "{headers.x-kind}"}. Empty '
        "for the whole body.",
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty for any number."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "durable_incoming_webhook"

    def __str__(self) -> str:
        return self.name


class WebhookReceipt(models.Model):
    """What a request that was accepted is known by. The same again has no second effect while this is remembered.

    ``message_id`` is ``id:`` and the sender's id of the message, or ``signature:`` and its signature.
    """

    id = models.BigAutoField(primary_key=True)
    webhook = models.ForeignKey(
        IncomingWebhook, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="receipts"
    )
    message_id = models.CharField(max_length=255)
    instance_id = models.CharField(max_length=INSTANCE_ID_LENGTH)
    received_at = models.DateTimeField(db_default=Now())
    forget_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "durable_webhook_receipt"
        constraints = [models.UniqueConstraint(fields=["webhook", "message_id"], name="durable_receipt_once")]

    def __str__(self) -> str:
        return self.message_id
