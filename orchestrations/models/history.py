"""History: append-only rows, numbered without gap from 1 in each execution of an instance."""

from __future__ import annotations

from django.db import models

from orchestrations.core.events import EventType
from orchestrations.limits import NAME_LENGTH
from orchestrations.models.instances import Instance
from orchestrations.models.payloads import PayloadField


class HistoryEvent(models.Model):
    """One history event. The unique constraint is what a second writer of the same execution collides with.

    There is no foreign key constraint on hot tables: checking it would take a lock on the instance row that a worker
    is about to update. ``manage.py durable check`` finds rows without an instance.
    """

    id = models.BigAutoField(primary_key=True)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="history"
    )
    execution = models.IntegerField()
    sequence = models.IntegerField()
    type = models.CharField(max_length=40, choices=[(event.value, event.value) for event in EventType])
    timestamp = models.DateTimeField()
    task_id = models.IntegerField(null=True)
    attempt = models.SmallIntegerField(default=1)
    name = models.CharField(max_length=NAME_LENGTH, null=True)
    payload = PayloadField(null=True)
    attributes = models.TextField(null=True, help_text="What only this type of event has, as a JSON object.")

    class Meta:
        db_table = "durable_history"
        constraints = [
            models.UniqueConstraint(fields=["instance", "execution", "sequence"], name="durable_history_once")
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.type}"

    @property
    def has_payload(self) -> bool:
        """Whether there is a payload; looking opens no file."""
        return self.__dict__.get("payload") is not None
