"""The audit trail: who did what to which instance, when, why, and how it reached us."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from orchestrations.limits import HUB_LENGTH, INSTANCE_ID_LENGTH


class AuditEntry(models.Model):
    """One act. Rows are only ever added, and outlive the instance and the user that they name."""

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
