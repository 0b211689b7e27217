"""Durable entities: what an entity has beside the row of its instance."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from orchestrations.limits import HUB_LENGTH, INSTANCE_ID_LENGTH, NAME_LENGTH
from orchestrations.models.instances import Instance
from orchestrations.models.payloads import PayloadField


class Entity(models.Model):
    """An entity's state and lock, written with the first operation and with each batch of operations since.

    Its instance, of the id ``@name@key``, has the inbox, the lease and the fence. While the entity is locked,
    operations of others stay in the inbox without ``visible_at``: they are the queue for the lock, in order.
    """

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance = models.OneToOneField(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, related_name="entity", verbose_name="entity"
    )
    name = models.CharField(max_length=NAME_LENGTH)
    key = models.CharField(max_length=INSTANCE_ID_LENGTH, blank=True)
    state = PayloadField(null=True, blank=True, help_text="JSON; NULL for an entity that has been deleted.")
    last_operation_at = models.DateTimeField()
    locked_by = models.CharField(
        max_length=INSTANCE_ID_LENGTH, default="", blank=True, help_text="The orchestration that holds the lock."
    )
    lock_id = models.CharField(max_length=32, default="", blank=True)
    backlog = models.IntegerField(default=0, help_text="Messages that wait for the lock, at least.")
    callers = models.TextField(
        null=True,
        blank=True,
        help_text="JSON: whose operations were carried out last, oldest first, as [time, who, operation, waited].",
    )

    class Meta:
        db_table = "durable_entity"
        verbose_name_plural = "entities"
        indexes = [
            models.Index(fields=["hub", "-last_operation_at", "-id"], name="durable_entity_recent"),
            models.Index(fields=["hub", "name", "-last_operation_at", "-id"], name="durable_entity_name"),
            models.Index(fields=["hub", "id"], name="durable_entity_empty", condition=Q(state__isnull=True)),
            models.Index(fields=["hub", "id"], name="durable_entity_locked", condition=~Q(locked_by="")),
        ]

    def __str__(self) -> str:
        return f"@{self.name}@{self.key}"
