"""``manage.py durable check``: whether the tables say what a healthy task hub's must say."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from orchestrations.reading.integrity import CHECKS, TaskHub
from orchestrations.runtime.recorded_histories import mismatch, stored_histories

HELP = "Looks for what must never be: gaps in history, ends that don't fit, and what was left behind. Changes nothing."
SHOWN = 20  # findings of one check that are printed


def add_arguments(parser: CommandParser) -> None:
    """Which checks."""
    parser.add_argument("--only", action="append", choices=list(CHECKS), help="Only this check; may be repeated.")
    parser.add_argument("--skip-files", action="store_true", help="Don't ask the storage for each payload's file.")
    parser.add_argument("--replay", action="store_true", help="Also replay the histories of live instances.")


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Run the checks, printing what they find; raises CommandError (exit code 1) where they find anything."""
    hub = TaskHub()
    found = 0
    for name, check in CHECKS.items():
        if (options["only"] and name not in options["only"]) or (options["skip_files"] and name == "files"):
            continue
        findings = list(islice(check(hub), SHOWN + 1))
        for finding in findings[:SHOWN]:
            stdout.write(f"{name}: {finding}")
        if len(findings) > SHOWN:
            stdout.write(f"{name}: and more")
        found += len(findings)
    if options["replay"]:
        for history in stored_histories():
            if problem := mismatch(history):
                found += 1
                stdout.write(f"replay: {history.name} {history.instance_id}: {problem}")
    if found:
        raise CommandError("The task hub is not as it should be.")
    stdout.write(f"The task hub {hub.store.hub!r} is as it should be.")
