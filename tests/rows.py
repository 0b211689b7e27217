"""Rows as the engine would have left them, for tests of what reads them."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from orchestrations.core.events import EventType
from orchestrations.models import (
    ActivityWorkItem,
    Entity,
    HistoryEvent,
    HumanAudience,
    HumanComment,
    HumanFollowUp,
    HumanNotice,
    HumanTask,
    HumanVote,
    IncomingWebhook,
    Instance,
    OpenWait,
    OutgoingWebhook,
    WebhookDelivery,
    WorkerLease,
)
from orchestrations.models.human import NEVER
from orchestrations.webhooks import keyring

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HUB = "default"
_numbers = itertools.count(1)


def instance(instance_id: str | None = None, *, minutes: float = 0, **columns: object) -> Instance:
    """An instance created that long after noon."""
    at = NOON + timedelta(minutes=minutes)
    defaults: dict[str, object] = {"name": "echo", "status": "Running", "created_at": at, "last_updated_at": at}
    return Instance.objects.create(
        hub=columns.pop("hub", HUB), instance_id=instance_id or f"instance-{next(_numbers)}", **(defaults | columns)
    )


def history(instance: Instance, *events: tuple[EventType, dict[str, object]], execution: int = 1) -> None:
    """Append events, a second apart from noon on."""
    for kind, columns in events:
        instance.last_sequence += 1
        attributes = columns.pop("attributes", None)
        HistoryEvent.objects.create(
            instance=instance,
            execution=execution,
            sequence=instance.last_sequence,
            type=kind.value,
            timestamp=columns.pop("timestamp", NOON + timedelta(seconds=instance.last_sequence)),
            attributes=None if attributes is None else json.dumps(attributes),
            **columns,
        )
    instance.save()


def wait(
    instance: Instance, name: str = "decision", *, title: str = "", request: object = None, **columns: object
) -> OpenWait:
    """An open wait for an external event; with a title it asks a person."""
    return OpenWait.objects.create(
        hub=instance.hub,
        instance=instance,
        execution=instance.execution,
        wait_id=next(_numbers),
        name=name,
        since=NOON,
        title=title,
        request=None if request is None else json.dumps(request),
        **columns,
    )


def task(instance: Instance, *audience: str, title: str = "Pay?", **columns: object) -> HumanTask:
    """A question to people, put to the given keys of HumanAudience."""
    wait_id = next(_numbers)
    key = {"instance": instance, "execution": instance.execution, "wait_id": wait_id}
    defaults = {"name": "decision", "asked_at": NOON, "urgent_at": columns.get("due_at") or NEVER}
    for who in audience:
        HumanAudience.objects.create(hub=instance.hub, key=who, **key)
    return HumanTask.objects.create(hub=instance.hub, title=title, **key, **(defaults | columns))


def thread(task: HumanTask, user: object) -> None:
    """One of everything that a person can leave on a task, or get about it."""
    of = {"task": task, "instance": task.instance}
    HumanVote.objects.create(user=user, username=user.get_username(), counts_as="approve", via="Dashboard", **of)
    HumanComment.objects.create(user=user, username=user.get_username(), text="Is this urgent?", **of)
    HumanFollowUp.objects.create(user=user, until=NOON, **of)
    HumanNotice.objects.create(hub=task.hub, recipient=user, kind="asked", channel="email", **of)


def entity(entity_id: str, state: str | None = None, *, minutes: float = 0, **columns: object) -> Entity:
    """An entity whose last operation was that long after noon."""
    _, name, key = entity_id.split("@", 2)
    row = instance(entity_id, minutes=minutes, name=name, is_entity=True)
    at = NOON + timedelta(minutes=minutes)
    return Entity.objects.create(
        hub=row.hub, instance=row, name=name, key=key, state=state, last_operation_at=at, **columns
    )


def worker(name: str = "web-1:4711", *, seconds: float = 60, **columns: object) -> WorkerLease:
    """A worker whose lease holds for that long; one of less than no seconds is dead."""
    functions = columns.pop(
        "functions", {"activities": ["charge"], "versions": {"echo": [""]}, "entities": ["account"]}
    )
    now = timezone.now()
    return WorkerLease.objects.create(
        hub=HUB,
        worker=name,
        host=name.partition(":")[0],
        pid=next(_numbers),
        heartbeat_at=now + timedelta(seconds=min(seconds, 0)),
        expires_at=now + timedelta(seconds=seconds),
        functions=json.dumps(functions),
        **({"capacity": 16} | columns),
    )


def work_item(instance: Instance, task_id: int, name: str = "charge", **columns: object) -> ActivityWorkItem:
    """An activity that was scheduled a minute ago, and is not held by anybody."""
    then = timezone.now() - timedelta(minutes=1)
    defaults: dict[str, object] = {"sequence": 1, "scheduled_at": then, "visible_at": then}
    return ActivityWorkItem.objects.create(
        hub=instance.hub,
        instance=instance,
        execution=instance.execution,
        task_id=task_id,
        name=name,
        **(defaults | columns),
    )


def outgoing_webhook(name: str = "partner", **columns: object) -> OutgoingWebhook:
    """A webhook for whatever completes in any hub, with a secret."""
    defaults: dict[str, object] = {"url": "https://partner.example/hook", "events": ["completed"]}
    row = OutgoingWebhook(name=name, **(defaults | columns))
    keyring.rotate(row)
    row.save()
    row.refresh_from_db()
    return row


def incoming_webhook(slug: str = "shop", **columns: object) -> IncomingWebhook:
    """A webhook that starts ``echo``, with a secret."""
    row = IncomingWebhook(**({"name": slug, "slug": slug, "hub": HUB, "orchestrator": "echo"} | columns))
    keyring.rotate(row)
    row.save()
    row.refresh_from_db()
    return row


def delivery(webhook: OutgoingWebhook, **columns: object) -> WebhookDelivery:
    """A message that has just been written, of the instance ``order``."""
    number = next(_numbers)
    defaults: dict[str, object] = {"hub": HUB, "message_id": f"msg_{number}", "event": "completed", "instance_pk": 1}
    defaults |= {"instance_id": "order", "execution": 1, "body": '{"type":"orchestration.completed","data":{}}'}
    return WebhookDelivery.objects.create(webhook=webhook, **(defaults | columns))
