"""How many instances there were, kept beside them: quick to read, and still there when instances are purged."""

from __future__ import annotations

from django.db import models

from orchestrations.limits import HUB_LENGTH, NAME_LENGTH

STATUS_LENGTH = 16
MINUTE, HOUR = 60, 3_600
"""The widths, in seconds, of the spans that instances are counted by."""


class InstanceCount(models.Model):
    """How many instances of an orchestrator that were created in a span of time have ended with a status.

    Each is counted once by the minute and once by the hour of its creation, at its end; see ``store.counting``.
    """

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    width = models.SmallIntegerField(help_text="Of the span, in seconds.")
    begins_at = models.DateTimeField()
    name = models.CharField("orchestrator", max_length=NAME_LENGTH)
    status = models.CharField(max_length=STATUS_LENGTH)
    count = models.BigIntegerField()

    class Meta:
        db_table = "durable_instance_count"
        constraints = [
            models.UniqueConstraint(
                fields=["hub", "width", "begins_at", "name", "status"], name="durable_instance_count_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.status} {self.name}"


class CountMark(models.Model):
    """Up to when the ends of a status are counted. Whoever counts locks the row, so that no end is counted twice."""

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    status = models.CharField(max_length=STATUS_LENGTH)
    counted_to = models.DateTimeField()

    class Meta:
        db_table = "durable_count_mark"
        constraints = [models.UniqueConstraint(fields=["hub", "status"], name="durable_count_mark_once")]

    def __str__(self) -> str:
        return f"{self.status} up to {self.counted_to:%Y-%m-%d %H:%M:%S}"


class MovedEnd(models.Model):
    """An end that its instance no longer tells of, for whoever counts: purged, started anew, or taken back by a rewind.

    ``amount`` is 1 for an end that happened, and -1 where an end is taken back, at the time of that.
    """

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    status = models.CharField(max_length=STATUS_LENGTH)
    at = models.DateTimeField()
    name = models.CharField("orchestrator", max_length=NAME_LENGTH)
    created_at = models.DateTimeField(help_text="Of the instance.")
    amount = models.SmallIntegerField()

    class Meta:
        db_table = "durable_moved_end"
        indexes = [models.Index(fields=["hub", "status", "at"], name="durable_moved_end_at")]

    def __str__(self) -> str:
        return f"{self.amount} {self.status} {self.name}"
