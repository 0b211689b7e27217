"""``manage.py durable export``: an instance's history as JSON, for a file beside the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from orchestrations.errors import InstanceNotFound, PayloadUnavailable
from orchestrations.runtime.recorded_histories import record_history

HELP = "Prints the history of an instance's present execution as JSON, for `replay` and for tests."


def add_arguments(parser: CommandParser) -> None:
    """The instance, and a file to write to."""
    parser.add_argument("instance_id", help="The instance; it may be running.")
    parser.add_argument("--output", type=Path, help="The file to write instead of printing.")


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Write the record. It holds the instance's payloads as they are."""
    try:
        text = record_history(options["instance_id"]).to_json()
    except (InstanceNotFound, PayloadUnavailable) as error:
        raise CommandError(str(error)) from error
    if options["output"] is None:
        stdout.write(text)
        return
    try:
        options["output"].write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{options['output']} can't be written: {error.strerror}. Name another file.") from error
