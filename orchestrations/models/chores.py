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


class ChoreRun(models.Model):
    """What a chore has done within an hour."""

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    name = models.CharField(max_length=40)
    hour = models.DateTimeField(help_text="When the hour began.")
    runs = models.IntegerField(default=0)
    done = models.BigIntegerField(default=0, help_text="Instances deleted, ends counted, files deleted.")
    seconds = models.FloatField(default=0.0, help_text="That all runs took together.")
    last_at = models.DateTimeField()
    trouble = models.CharField(max_length=300, default="", blank=True, help_text="Why the last run that failed did.")

    class Meta:
        db_table = "durable_chore_run"
        constraints = [models.UniqueConstraint(fields=["hub", "name", "hour"], name="durable_chore_run_once")]

    def __str__(self) -> str:
        return f"{self.name} at {self.hour:%Y-%m-%d %H:%M}"
