"""Chores that one worker of a task hub does now and then."""

from __future__ import annotations

from django.db import models

from orchestrations.limits import HUB_LENGTH


class Chore(models.Model):
    """When a chore is due again. Who moves ``due_at`` on has it, so that no two workers do it at a time."""

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    name = models.CharField(max_length=40)
    due_at = models.DateTimeField()

    class Meta:
        db_table = "durable_chore"
        constraints = [models.UniqueConstraint(fields=["hub", "name"], name="durable_chore_once")]

    def __str__(self) -> str:
        return self.name
