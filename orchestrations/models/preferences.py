"""What people choose for themselves on the dashboard, and the views that they keep. Never read by the engine."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from orchestrations.limits import HUB_LENGTH

VIEW_NAME_LENGTH = 60


class Preferences(models.Model):
    """One person's choices. Nobody needs a row: without one everything is as it comes."""

    class Theme(models.TextChoices):
        SYSTEM = "system", "As the system"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    class Density(models.TextChoices):
        COMPACT = "compact", "Compact"
        NORMAL = "normal", "Normal"
        COMFORTABLE = "comfortable", "Comfortable"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True)
    time_zone = models.CharField(max_length=64, default="", blank=True, help_text="Empty for the site's.")
    theme = models.CharField(max_length=8, choices=Theme, default=Theme.SYSTEM)
    density = models.CharField(max_length=12, choices=Density, default=Density.NORMAL)
    columns = models.JSONField(
        default=list, blank=True, help_text="Of the instances list, in order; empty for the usual."
    )
    shortcuts = models.BooleanField(default=True, help_text="Whether single keys act as shortcuts.")

    class Meta:
        db_table = "durable_preferences"
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.user}"


class SavedView(models.Model):
    """A filter of the instances list under a name: its owner's alone, shared with a group, or for everybody."""

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    name = models.CharField(max_length=VIEW_NAME_LENGTH)
    query = models.TextField(help_text="In its canonical form; hours ago stay hours ago.")
    sort = models.CharField(max_length=20, default="", blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="Whose members see it too."
    )
    for_everybody = models.BooleanField(default=False)
    is_pinned = models.BooleanField(default=True, help_text="Whether it is in the navigation.")

    class Meta:
        db_table = "durable_saved_view"
        constraints = [
            models.UniqueConstraint(fields=["owner", "hub", "name"], name="durable_saved_view_once"),
            models.CheckConstraint(
                condition=Q(for_everybody=False) | Q(group__isnull=True), name="durable_saved_view_audience"
            ),
        ]
        indexes = [models.Index(fields=["hub", "for_everybody"], name="durable_saved_view_all")]
        permissions = [("publish_savedview", "Can save views of the instances list for everybody")]

    def __str__(self) -> str:
        return self.name
