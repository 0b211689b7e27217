"""``manage.py durable purge``: ended instances that a filter chooses, in batches that can be interrupted anywhere."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from orchestrations.client import OrchestrationClient
from orchestrations.client.purging import purge_in_batches
from orchestrations.errors import DurableError
from orchestrations.management.durations import parse_duration
from orchestrations.models import AuditEntry
from orchestrations.reading import queries

HELP = "Deletes ended instances with their history, files and inboxes. It may be interrupted, and run again to go on."

CHOOSING = ("status", "name", "prefix", "older_than", "created_from", "created_to", "all")


def add_arguments(parser: CommandParser) -> None:
    """Which instances, how many, for how long."""
    parser.add_argument("instances", nargs="*", help="Instance ids. Live and unknown ones are left alone.")
    statuses = [status.value for status in queries.ENDED]
    parser.add_argument(
        "--status", action="append", choices=statuses, default=[], help="Only with this status; may be repeated."
    )
    parser.add_argument("--name", default="", help="Only instances of this orchestrator.")
    parser.add_argument("--prefix", default="", help="Only ids that begin with this.")
    parser.add_argument("--older-than", type=parse_duration, metavar="AGE", help="Created before that, such as 30d.")
    parser.add_argument("--created-from", type=_instant, metavar="TIME", help="Created at or after this instant.")
    parser.add_argument("--created-to", type=_instant, metavar="TIME", help="Created before this instant.")
    parser.add_argument("--all", action="store_true", help="Every ended instance; needed where nothing else chooses.")
    parser.add_argument("--recursive", action="store_true", help="Also the ended sub-orchestrations of each.")
    parser.add_argument("--limit", type=_positive, metavar="COUNT", help="Choose at most so many.")
    parser.add_argument("--timeout", type=parse_duration, metavar="TIME", help="Stop after that time, such as 10m.")
    parser.add_argument("--dry-run", action="store_true", help="Say how many would be chosen, and delete nothing.")
    parser.add_argument("--reason", default="", help="For the audit trail.")


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Purge, telling the sum after each batch. Exits with 1 where the limit or the time cut it short."""
    client = OrchestrationClient(via=AuditEntry.Via.COMMAND, actor="manage.py durable purge")
    try:
        if options["instances"]:
            _purge_named(client, options, stdout)
        else:
            _purge_chosen(client, options, stdout)
    except (DurableError, ValueError) as error:
        raise CommandError(str(error)) from error


def _purge_named(client: OrchestrationClient, options: dict[str, Any], stdout: OutputWrapper) -> None:
    if any(options[option] for option in CHOOSING):
        raise CommandError("Give instance ids or a filter, not both.")
    if options["dry_run"]:
        where = queries.InstanceFilter(statuses=queries.ENDED)
        ended = queries.filter_instances(client.hub, where, using=client.using)
        stdout.write(f"{ended.filter(instance_id__in=options['instances']).count():,} instances would be chosen.")
        return
    result = client.purge_instances(options["instances"], recursive=options["recursive"], reason=options["reason"])
    stdout.write(f"{result.instances_deleted:,} instances deleted.")


def _purge_chosen(client: OrchestrationClient, options: dict[str, Any], stdout: OutputWrapper) -> None:
    where = _filter(options)
    if where == queries.InstanceFilter(statuses=where.statuses) and not (where.statuses or options["all"]):
        raise CommandError("Nothing says which instances to delete. Name some, give a filter, or say --all.")
    if options["dry_run"]:
        rows = queries.filter_instances(client.hub, queries.ended_only(where), using=client.using)
        count = rows.count() if options["limit"] is None else rows[: options["limit"]].count()
        stdout.write(f"{count:,} instances would be chosen.")
        return
    batches = purge_in_batches(
        client,
        where,
        limit=options["limit"],
        timeout=options["timeout"],
        recursive=options["recursive"],
        reason=options["reason"],
    )
    told = -1
    for result in batches:
        if result.instances_deleted != told:
            told = result.instances_deleted
            stdout.write(f"{told:,} instances deleted.")
    if not result.is_complete:
        raise CommandError("There is more to delete. Run the same command again to go on.")


def _filter(options: dict[str, Any]) -> queries.InstanceFilter:
    created_to = options["created_to"]
    if options["older_than"] is not None:
        before = timezone.now() - options["older_than"]
        created_to = before if created_to is None else min(before, created_to)
    return queries.InstanceFilter(
        statuses=tuple(status for status in queries.ENDED if status.value in options["status"]),
        name=options["name"],
        id_prefix=options["prefix"],
        created_from=options["created_from"],
        created_to=created_to,
    )


def _instant(text: str) -> datetime:
    try:
        instant = parse_datetime(text)
    except ValueError:
        instant = None
    if instant is None or timezone.is_naive(instant):
        raise ArgumentTypeError(f"{text!r} is no instant. Write it as 2026-01-31T12:00:00Z.")
    return instant


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is no number of instances above 0.")
    return int(text)
