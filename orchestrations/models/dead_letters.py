"""Dead letters: work that was given up because each worker that took it up died of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from orchestrations.limits import HUB_LENGTH, INSTANCE_ID_LENGTH, NAME_LENGTH
from orchestrations.models.clock import Now


class DeadLetter(models.Model):
    """One piece of work that killed its workers, kept so that it can be put back once the code is mended.

    It is written in the commit that gives the work up; that of an activity just before. ``execution`` and ``position``
    say which work it was: a history sequence of an orchestrator or entity, a task id of an activity.
    """

    class Kind(models.TextChoices):
        ORCHESTRATOR = "orchestrator"
        REWIND = "rewind"
        ACTIVITY = "activity"
        OPERATION = "operation", "operation of an entity"

    NOT_KEPT = ""
    """The payload of an operation whose input is too large to be kept here."""

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    kind = models.CharField(max_length=12, choices=Kind)
    instance_pk = models.BigIntegerField()
    instance_id = models.CharField(max_length=INSTANCE_ID_LENGTH)
    execution = models.IntegerField()
    position = models.IntegerField()
    name = models.CharField(max_length=NAME_LENGTH, help_text="Of the orchestrator, the activity or the operation.")
    deaths = models.SmallIntegerField(help_text="Workers that died of it.")
    error = models.TextField()
    payload = models.TextField(null=True, blank=True, help_text="The operation's input, as JSON.")
    died_at = models.DateTimeField(db_default=Now())
    put_back_at = models.DateTimeField(null=True, blank=True)
    put_back_by = models.CharField(max_length=150, default="", db_default="", blank=True)

    class Meta:
        db_table = "durable_dead_letter"
        constraints = [
            models.UniqueConstraint(fields=["instance_pk", "kind", "execution", "position"], name="durable_dead_once")
        ]
        indexes = [
            models.Index(fields=["hub", "-id"], name="durable_dead_newest"),
            models.Index(fields=["hub", "-id"], name="durable_dead_waiting", condition=Q(put_back_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} of {self.instance_id}"
