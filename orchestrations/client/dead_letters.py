"""Putting dead letters back: the work that killed its workers is tried again, once its code is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from orchestrations.access.audit import record_each
from orchestrations.access.permissions import Action
from orchestrations.client.hub import SerializedJson
from orchestrations.errors import DeadLetterSettled
from orchestrations.models import DeadLetter, Instance
from orchestrations.models.audit import Deed
from orchestrations.models.clock import Now

if TYPE_CHECKING:
    from orchestrations.client import OrchestrationClient


WORK: dict[str, str] = {DeadLetter.Kind.ACTIVITY: "activity", DeadLetter.Kind.OPERATION: "operation"}
"""How the audit trail's details call a piece of work."""


def action_of(dead: DeadLetter) -> Action:
    """What somebody must be allowed to do to put it back."""
    return Action.SIGNAL_ENTITY if dead.kind == DeadLetter.Kind.OPERATION else Action.REWIND


def put_back(client: OrchestrationClient, dead: DeadLetter, reason: str) -> None:
    """Rewind the instance that failed of it, or send the entity's operation again as a signal; in one transaction.

    The audit trail tells of it with the ``reason``, beside the rewind or the signal.

    Raises DeadLetterSettled where it was put back already, its instance has gone on since, or its input was not kept;
    InvalidTransition and InstanceEnded where the instance has not failed (it has handled the failure, say); and
    InstanceNotFound.
    """
    with transaction.atomic(using=client.using):
        rows = DeadLetter.objects.using(client.using).filter(pk=dead.pk, put_back_at__isnull=True)
        if not rows.update(put_back_at=Now(), put_back_by=client.actor.name if client.actor else ""):
            raise DeadLetterSettled(f"{dead} was put back already. Look at what has become of it.")
        if client.actor is not None:
            told = {dead.instance_id: {WORK.get(dead.kind, "orchestrator"): dead.name}}
            record_each(client.actor, Deed.PUT_BACK, client.hub, told, client.using, reason=reason)
        if dead.kind == DeadLetter.Kind.OPERATION:
            _send_again(client, dead)
            return
        row = Instance.objects.using(client.using).filter(pk=dead.instance_pk).only("execution").first()
        if row is not None and row.execution != dead.execution:
            raise DeadLetterSettled(f"{dead.instance_id!r} has gone on since. Nothing of it is left to be put back.")
        client.rewind(dead.instance_id, reason)


def _send_again(client: OrchestrationClient, dead: DeadLetter) -> None:
    if dead.payload == DeadLetter.NOT_KEPT:
        raise DeadLetterSettled(f"The input of {dead} was too large to be kept. Send the operation again yourself.")
    client.signal_entity(dead.instance_id, dead.name, None if dead.payload is None else SerializedJson(dead.payload))
