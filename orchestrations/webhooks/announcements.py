"""Telling of what a client's own transaction makes of instances: a start that terminates the one that has its id."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.db import transaction

from orchestrations import signals
from orchestrations.core.lifecycle import Transition
from orchestrations.models import Instance, WebhookDelivery
from orchestrations.store import rows
from orchestrations.webhooks.outbox import Outbox


def record(hub: str, using: str, transitions: Sequence[Transition]) -> None:
    """Write what webhooks are to hear of these, in the caller's transaction, and send the signals when it commits."""
    deliveries = Outbox(hub, using).deliveries(transitions)
    columns = [dict(zip(rows.DELIVERY_COLUMNS, rows.delivery_row(hub, one), strict=True)) for one in deliveries]
    WebhookDelivery.objects.using(using).bulk_create([WebhookDelivery(**one) for one in columns])
    transaction.on_commit(partial(_send, transitions), using=using, robust=True)


def _send(transitions: Sequence[Transition]) -> None:
    for transition in transitions:
        signals.SIGNALS[transition.event].send_robust(sender=Instance, transition=transition)
