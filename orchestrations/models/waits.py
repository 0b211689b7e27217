"""Open waits for external events: the ones that somebody outside can answer."""

from __future__ import annotations

from django.db import models

from orchestrations.limits import HUB_LENGTH, NAME_LENGTH
from orchestrations.models.instances import Instance


class OpenWait(models.Model):
    """An instance waits for this external event, now. Written and deleted in the transaction of the episode.

    Waits for activities, timers and children are not repeated here: they are the rows of those tables, and
    ``Instance.waits`` has the whole picture of one instance. A wait with a ``title`` asks a person.
    """

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="open_waits"
    )
    execution = models.IntegerField()
    wait_id = models.IntegerField()
    name = models.CharField("event", max_length=NAME_LENGTH)
    since = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    title = models.CharField(max_length=300, default="", blank=True)
    request = models.TextField(null=True, blank=True, help_text="What is asked and of whom, as JSON.")
    location = models.CharField(max_length=400, default="", blank=True)

    class Meta:
        db_table = "durable_wait"
        constraints = [models.UniqueConstraint(fields=["instance", "execution", "wait_id"], name="durable_wait_once")]
        indexes = [
            models.Index(fields=["hub", "due_at", "id"], name="durable_wait_due"),
            models.Index(fields=["hub", "id"], name="durable_wait_asked", condition=~models.Q(title="")),
        ]

    def __str__(self) -> str:
        return self.title or self.name
