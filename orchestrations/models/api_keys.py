"""API keys: what programs present to the two HTTP APIs. Only a digest of each is kept."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models

from orchestrations.limits import HUB_LENGTH, NAME_LENGTH
from orchestrations.models.clock import Now


class ApiKey(models.Model):
    """A named key that opens some verbs of a hub until it expires or is revoked. Rows are kept, for the audit trail.

    The key itself is 256 random bits, so its plain SHA-256 digest can't be turned back; ``prefix`` tells people which
    key a row is about.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=100, unique=True, help_text="Who uses it; audit entries give this name.")
    prefix = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, unique=True)
    hub = models.CharField(max_length=HUB_LENGTH, default="", blank=True, help_text="Empty for every task hub.")
    names = models.CharField(
        max_length=NAME_LENGTH,
        default="*",
        db_default="*",
        help_text="The orchestrator or entity that it is for, or a pattern with * for any characters: billing_*.",
    )
    verbs = models.JSONField(default=list, help_text="What it may do.")
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty for any number."
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty for never.")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "durable_api_key"
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name
