"""The audit trail: who did what to which instance, when, why, and how it reached us."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from orchestrations.limits import HUB_LENGTH, INSTANCE_ID_LENGTH
from orchestrations.models.clock import Now


class Deed(models.TextChoices):
    """What rows tell of beside the acts on instances (``access.permissions.Action``), and in what words."""

    ASKED = "asked", "asked people"
    SEEN = "seen", "saw the question first"
    VOTED = "voted"
    COMMENTED = "commented"
    CLAIMED = "claimed", "took the question on"
    RELEASED = "released", "gave the question back"
    DELEGATED = "delegated", "handed the question on"
    OVERRIDDEN = "overridden", "overrode the question"
    UNDONE = "undone", "took the answer back"
    REMINDED = "reminded"
    ESCALATED = "escalated"
    DELIVERED = "delivered", "handed the answer to the orchestrator"
    EXPIRED = "expired", "closed the question: its time was over"
    WITHDRAWN = "withdrawn", "withdrew the question"
    MADE_JOB = "made_job", "made a bulk job"
    STOPPED_JOB = "stopped_job", "stopped a bulk job"
    ISSUED_KEY = "issued_key", "made an API key"
    CHANGED_KEY = "changed_key", "changed an API key"
    REVOKED_KEY = "revoked_key", "revoked an API key"
    GRANTED = "granted", "made a grant"
    CHANGED_GRANT = "changed_grant", "changed a grant"
    DELETED_GRANT = "deleted_grant", "deleted a grant"
    MADE_WEBHOOK = "made_webhook", "made a webhook"
    CHANGED_WEBHOOK = "changed_webhook", "changed a webhook"
    DELETED_WEBHOOK = "deleted_webhook", "deleted a webhook"
    ROTATED_SECRET = "rotated_secret", "gave a webhook a new secret"
    SENT_AGAIN = "sent_again", "had a webhook's message sent again"
    PUT_BACK = "put_back", "put a dead letter back"
    DELETED_HUB = "deleted_hub", "deleted the task hub"


class AuditEntry(models.Model):
    """One act. Rows are only ever added, and outlive the instance and the user that they name.

    ``instance_id`` is empty where it concerns the task hub or the site. ``details`` say what more there is to know:
    the status before, tags before and after, whom to, which bulk job.
    """

    class Via(models.TextChoices):
        DASHBOARD = "Dashboard"
        ADMIN = "Admin"
        API = "API"
        MANAGEMENT_API = "Management API"
        COMMAND = "Command"
        WEBHOOK = "Webhook"
        ENGINE = "Engine"
        EMAIL_LINK = "E-mail link"

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance_id = models.CharField(max_length=INSTANCE_ID_LENGTH)
    action = models.CharField(max_length=40)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    actor_name = models.CharField(max_length=150)
    reason = models.TextField(default="", blank=True)
    details = models.JSONField(default=dict, blank=True)
    via = models.CharField(max_length=20, choices=Via)
    address = models.GenericIPAddressField(null=True, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "durable_audit"
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["hub", "instance_id", "-id"], name="durable_audit_instance"),
            models.Index(fields=["hub", "-id"], name="durable_audit_newest"),
            models.Index(fields=["hub", "-at", "-id"], name="durable_audit_at"),
            models.Index(fields=["hub", "actor_name", "-at", "-id"], name="durable_audit_actor"),
            models.Index(fields=["hub", "action", "-at", "-id"], name="durable_audit_action"),
            models.Index(fields=["hub", "via", "-at", "-id"], name="durable_audit_via"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.instance_id}"
