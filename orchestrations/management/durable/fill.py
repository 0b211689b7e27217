"""``manage.py durable fill``: a task hub with a million made-up instances, to try things out and to measure."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper
from django.utils import timezone

from orchestrations.conf import get_config
from orchestrations.core.status import TERMINAL
from orchestrations.limits import HUB_LENGTH
from orchestrations.management.made_up import (
    EVENT_COLUMNS,
    INSTANCE_COLUMNS,
    TIMER_COLUMNS,
    WAIT_COLUMNS,
    MadeUp,
    large_history,
    large_instance,
)
from orchestrations.models import HistoryEvent, Instance, OpenWait, Timer
from orchestrations.runtime.upkeep import COUNTED_AT_ONCE
from orchestrations.store import bulk, get_store

HELP = "Fills a task hub of its own with made-up instances, to try things out. No worker takes them up."


def add_arguments(parser: CommandParser) -> None:
    """How many, and where."""
    parser.add_argument("--instances", type=int, default=10_000, metavar="COUNT", help="How many instances (10,000).")
    parser.add_argument(
        "--events", type=int, default=0, metavar="COUNT", help="Add one instance with so long a history, named large."
    )
    parser.add_argument("--hub", default="trial", help="The task hub to fill (trial); it must not be the site's own.")
    parser.add_argument("--force", action="store_true", help="Even where the hub has instances already.")


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Fill the hub, and say how long it took."""
    config = get_config()
    hub, using = options["hub"], config.database
    _refuse(hub, options["instances"], options["events"])
    if not options["force"] and Instance.objects.using(using).filter(hub=hub).exists():
        raise CommandError(f"The task hub {hub} has instances. Choose another --hub, or add to it with --force.")
    began = time.monotonic()
    now = timezone.now()
    if options["instances"]:
        rows = MadeUp(hub, options["instances"], bulk.reserve_ids(using, Instance, options["instances"]), now)
        bulk.insert(using, Instance, INSTANCE_COLUMNS, rows.instances())
        bulk.insert(using, HistoryEvent, EVENT_COLUMNS, rows.events)
        bulk.insert(using, OpenWait, WAIT_COLUMNS, rows.waits)
        bulk.insert(using, Timer, TIMER_COLUMNS, rows.timers)
    if options["events"]:
        pk = bulk.reserve_ids(using, Instance, 1)
        bulk.insert(using, Instance, INSTANCE_COLUMNS, [large_instance(hub, pk, options["events"], now)])
        bulk.insert(using, HistoryEvent, EVENT_COLUMNS, large_history(pk, options["events"], now))
    _count_ends(hub, using)
    bulk.refresh_statistics(using, (Instance, HistoryEvent, OpenWait, Timer))
    stdout.write(
        f"{options['instances']:,} instances and a history of {options['events']:,} events in the task hub {hub}, "
        f"made in {time.monotonic() - began:.0f} s."
    )


def _count_ends(hub: str, using: str) -> None:
    """As workers would, of whom the hub has none."""
    store = get_store(hub, using)
    for status in sorted(TERMINAL):
        while store.count_ends(status, store.now(), COUNTED_AT_ONCE).has_more:
            pass


def _refuse(hub: str, instances: int, events: int) -> None:
    if instances < 0 or events < 0 or not instances + events:
        raise CommandError("Give a number of --instances or of --events above 0.")
    if hub == get_config().task_hub:
        raise CommandError(f"{hub} is the task hub of this site, whose workers would take the instances up.")
    if not 0 < len(hub) <= HUB_LENGTH or not hub.replace("-", "").replace("_", "").isalnum():
        raise CommandError(f"{hub!r} is no name of a task hub: letters, digits, - and _, at most {HUB_LENGTH}.")
