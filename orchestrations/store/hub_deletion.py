"""Deleting a task hub: all its rows and files, batch by batch, so that it may be interrupted and run again."""

from __future__ import annotations

from django.db.models import Model, QuerySet

from orchestrations.models import (
    ApiKey,
    BulkJob,
    BulkProblem,
    Chore,
    ChoreRun,
    CountMark,
    DeadLetter,
    Entity,
    Grant,
    IncomingWebhook,
    Instance,
    InstanceCount,
    LostWorker,
    MovedEnd,
    OutgoingWebhook,
    SavedView,
    WebhookDelivery,
    WebhookReceipt,
    WorkerLease,
)
from orchestrations.store import starts
from orchestrations.store.tables import Tables

BELONGINGS: dict[type[Model], str] = {
    WebhookDelivery: "hub",
    WebhookReceipt: "webhook__hub",
    OutgoingWebhook: "hub",
    IncomingWebhook: "hub",
    BulkProblem: "job__hub",
    BulkJob: "hub",
    DeadLetter: "hub",
    Chore: "hub",
    ChoreRun: "hub",
    InstanceCount: "hub",
    CountMark: "hub",
    MovedEnd: "hub",
    SavedView: "hub",
    Grant: "hub",
    ApiKey: "hub",
    LostWorker: "hub",
    WorkerLease: "hub",
}
"""What a hub has beside its instances, and how its rows name the hub; what refers to others goes before them."""


def delete_instances(tables: Tables, limit: int) -> int:
    """Delete up to ``limit`` instances and entities of any status with all that is theirs; returns how many went."""
    with tables.atomic():
        rows = Instance.objects.using(tables.using).filter(hub=tables.hub).order_by("pk").select_for_update()
        pks = list(rows.values_list("pk", flat=True)[:limit])
        starts.forget(tables, pks)
        gone = [(pk,) for pk in pks]
        if gone:
            tables.delete(Entity, ("instance_id",), gone)
            tables.delete(Instance, ("id",), gone)
    return len(pks)


def delete_belongings(tables: Tables, limit: int) -> int:
    """Delete what else the hub has, in batches; returns how many rows there were. The audit trail stays."""
    deleted = 0
    for model, path in BELONGINGS.items():
        rows: QuerySet[Model] = model._default_manager.using(tables.using).filter(**{path: tables.hub})
        while pks := list(rows.order_by("pk").values_list("pk", flat=True)[:limit]):
            with tables.atomic():
                deleted += model._default_manager.using(tables.using).filter(pk__in=pks).delete()[0]
    return deleted
