"""Outgoing webhooks: who hears of what, and the messages that are still to be delivered, or were."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from orchestrations.core.lifecycle import LifecycleEvent
from orchestrations.limits import HUB_LENGTH, INSTANCE_ID_LENGTH, NAME_LENGTH, WEBHOOK_NAME_LENGTH, WEBHOOK_URL_LENGTH
from orchestrations.models.clock import Now

SEALED = "Encrypted with a key derived from SECRET_KEY."


class SigningSecret(models.Model):
    """A webhook's secret, encrypted; during a rotation also the one before it."""

    sealed_secret = models.TextField(default="", blank=True, editable=False, help_text=SEALED)
    sealed_previous_secret = models.TextField(default="", blank=True, editable=False, help_text=SEALED)
    previous_secret_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when the secret before the present one counts too."
    )

    class Meta:
        abstract = True


class OutgoingWebhook(SigningSecret):
    """An address that hears of what becomes of instances."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=WEBHOOK_NAME_LENGTH, unique=True)
    url = models.CharField("address", max_length=WEBHOOK_URL_LENGTH, help_text="Where messages are posted to.")
    events = models.JSONField(default=list, help_text="What it hears of.")
    hub = models.CharField("task hub", max_length=HUB_LENGTH, default="", blank=True, help_text="Empty for every hub.")
    name_pattern = models.CharField(
        "orchestrators",
        max_length=NAME_LENGTH,
        default="*",
        help_text="An orchestrator, or a pattern with * for any characters: order_*, *_report.",
    )
    include_payloads = models.BooleanField(
        default=False, help_text="Send inputs and outputs along, up to 256 KiB. Needs the right to see payloads."
    )
    enabled = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=300, default="", blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "durable_outgoing_webhook"

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """One message to one address, written in the transaction of the transition that it tells of.

    There is no foreign key constraint: the commit of a worker is not to wait for whoever edits a webhook, nor to fail
    for one who deletes it. What is left of a deleted one is never sent, and swept with the rest. ``attempts`` is
    counted, and the next one fixed, before anything is sent, so that what a killed worker had in hand is sent again.
    """

    class State(models.TextChoices):
        PENDING = "Pending"
        DELIVERED = "Delivered"
        DEAD = "Dead"

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    webhook = models.ForeignKey(
        OutgoingWebhook, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="deliveries"
    )
    message_id = models.CharField(max_length=40, help_text="The webhook-id, the same with each attempt.")
    event = models.CharField(max_length=20, choices=[(event.value, event.value) for event in LifecycleEvent])
    instance_pk = models.BigIntegerField()
    instance_id = models.CharField(max_length=INSTANCE_ID_LENGTH)
    execution = models.IntegerField()
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State, default=State.PENDING, db_default=State.PENDING.value)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    delivered_at = models.DateTimeField(null=True, blank=True)
    last_status = models.SmallIntegerField("last answer", null=True, blank=True)
    last_error = models.CharField(max_length=300, default="", db_default="", blank=True)

    class Meta:
        db_table = "durable_webhook_delivery"
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(
                fields=["webhook", "next_attempt_at", "id"], name="durable_delivery_due", condition=Q(state="Pending")
            ),
            models.Index(fields=["webhook", "-id"], name="durable_delivery_webhook"),
            models.Index(fields=["webhook", "-id"], name="durable_delivery_dead", condition=Q(state="Dead")),
            models.Index(fields=["created_at"], name="durable_delivery_created"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.instance_id}"
