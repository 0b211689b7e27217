"""Grants: rights that are narrower than Django's permissions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from orchestrations.limits import HUB_LENGTH, NAME_LENGTH
from orchestrations.models.clock import Now


class Grant(models.Model):
    """Leave for one user, or for the members of one group, to do some acts to what has certain names.

    Django's permissions hold for every orchestrator and entity of every task hub; a grant adds to them and takes
    nothing away. ``hub`` and ``names`` are a name or a pattern (``orchestrations.patterns``).
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="durable_grants"
    )
    group = models.ForeignKey(
        "auth.Group", null=True, blank=True, on_delete=models.CASCADE, related_name="durable_grants"
    )
    actions = models.JSONField(default=list, help_text="What may be done.")
    hub = models.CharField(
        "task hub", max_length=HUB_LENGTH, default="*", help_text="A task hub, or a pattern with * for any characters."
    )
    names = models.CharField(
        max_length=NAME_LENGTH,
        default="*",
        help_text="An orchestrator or entity, or a pattern with * for any characters: billing_*, *_report.",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "durable_grant"
        constraints = [
            models.CheckConstraint(
                name="durable_grant_to_one",
                condition=Q(user__isnull=False, group__isnull=True) | Q(user__isnull=True, group__isnull=False),
                violation_error_message="Choose either a user or a group.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group}: {', '.join(self.actions)} of {self.names} in {self.hub}"
