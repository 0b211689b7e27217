"""``manage.py durable delete-hub``: a task hub with all that is in it, in batches that can be interrupted anywhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from orchestrations.access import audit
from orchestrations.access.audit import Actor
from orchestrations.core.status import TERMINAL
from orchestrations.models import AuditEntry, Instance, WorkerLease
from orchestrations.models.audit import Deed
from orchestrations.reading.hubs import hub_names
from orchestrations.store import get_store
from orchestrations.store.contract import Store

HELP = (
    "Deletes a task hub: instances, entities, files, webhooks, API keys, grants. The audit trail stays. It may be "
    "interrupted, and run again to go on."
)
BATCH = 500  # instances or rows in one transaction


def add_arguments(parser: CommandParser) -> None:
    """Which one, and that it is meant."""
    parser.add_argument("hub", help="The name of the task hub, exactly.")
    parser.add_argument("--yes", action="store_true", help="Delete it. Without, only what would go is told.")
    parser.add_argument("--live", action="store_true", help="Even with instances in it that have not ended.")
    parser.add_argument("--reason", default="", help="For the audit trail.")


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Tell what is in it; delete it where that was said and no worker serves it, telling the sum after each batch."""
    store = get_store(options["hub"])
    instances = Instance.objects.using(store.using).filter(hub=store.hub)
    live = instances.filter(is_entity=False).exclude(status__in=TERMINAL).count()
    entities = instances.filter(is_entity=True).count()
    stdout.write(
        f"The task hub {store.hub!r} has {instances.count() - entities:,} instances, {live:,} of them live, and "
        f"{entities:,} entities."
    )
    if not instances.exists():
        stdout.write(f"Those with instances are: {', '.join(hub_names())}.")
    _refuse(store, live, options)
    _delete(store, stdout)
    actor = Actor.of("manage.py durable delete-hub", AuditEntry.Via.COMMAND)
    audit.record(actor, Deed.DELETED_HUB, store.hub, [""], store.using, reason=options["reason"])
    stdout.write(f"The task hub {store.hub!r} is deleted.")


def _refuse(store: Store, live: int, options: dict[str, Any]) -> None:
    workers = WorkerLease.objects.using(store.using).filter(hub=store.hub, expires_at__gt=store.now()).count()
    if workers:
        raise CommandError(f"Its workers are at work: {workers:,} processes. Stop them first.")
    if live and not options["live"]:
        raise CommandError("Some of its instances have not ended. Terminate them, or say --live.")
    if not options["yes"]:
        raise CommandError("Nothing was deleted. Say --yes to delete all of it.")


def _delete(store: Store, stdout: OutputWrapper) -> None:
    deleted = 0
    while batch := store.delete_instances(BATCH):
        deleted += batch
        stdout.write(f"{deleted:,} instances and entities deleted.")
    stdout.write(f"{store.delete_belongings(BATCH):,} other rows deleted.")
    stdout.write(f"{store.sweep_strays(timedelta()):,} files deleted.")
