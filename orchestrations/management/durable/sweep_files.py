"""``manage.py durable sweep-files``: files of large payloads and of answers that belong to nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from orchestrations.limits import STRAY_FILE_SECONDS
from orchestrations.management.durations import parse_duration
from orchestrations.store import get_store

HELP = "Deletes files of large payloads and of answers that no row records: what crashes and rollbacks left behind."


def add_arguments(parser: CommandParser) -> None:
    """How old a file must be."""
    parser.add_argument(
        "--older-than",
        type=parse_duration,
        metavar="AGE",
        default=timedelta(seconds=STRAY_FILE_SECONDS),
        help="Files younger than that may belong to a transaction that is still open. Default: 1d, least: 1h.",
    )


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Sweep, and say how many files went."""
    age: timedelta = options["older_than"]
    if age < timedelta(hours=1):
        raise CommandError("A transaction that is still open may have written files of that age. Give 1h or more.")
    stdout.write(f"{get_store().sweep_strays(age):,} files deleted.")
