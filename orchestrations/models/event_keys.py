"""Idempotency keys of external events: what makes a client's retry harmless long after the event was taken."""

from __future__ import annotations

from django.db import models

from orchestrations.models.clock import Now
from orchestrations.models.instances import Instance


class RaisedEventKey(models.Model):
    """An instance has accepted an event with this key. Only events that were given a key have a row."""

    id = models.BigAutoField(primary_key=True)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="event_keys"
    )
    key = models.CharField(max_length=200)
    raised_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "durable_event_key"
        constraints = [models.UniqueConstraint(fields=["instance", "key"], name="durable_event_key_once")]
        indexes = [models.Index(fields=["raised_at"], name="durable_event_key_raised")]

    def __str__(self) -> str:
        return self.key
