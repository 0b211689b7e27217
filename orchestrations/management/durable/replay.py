"""``manage.py durable replay``: stored histories against today's code, before it is deployed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import CommandError, CommandParser, OutputWrapper

from orchestrations.management.durations import parse_duration
from orchestrations.runtime.recorded_histories import RecordedHistory, mismatch, stored_histories

HELP = "Replays histories against today's code, and exits with 1 where one does not fit."


def add_arguments(parser: CommandParser) -> None:
    """Files, or which instances of the task hub."""
    parser.add_argument("files", nargs="*", type=Path, help="Records made by `export`, or folders of them.")
    parser.add_argument(
        "--since",
        type=parse_duration,
        metavar="AGE",
        help="Also instances that have ended within that time, such as 7d, 12h or 30m. Default: only live ones.",
    )
    parser.add_argument("--name", help="Only instances of this orchestrator.")
    parser.add_argument("--instance", help="Only this instance, whatever its status.")


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Replay each, and name every one that does not fit with what differs and where."""
    replayed = failed = 0
    for where, history in _histories(options):
        replayed += 1
        problem = mismatch(history)
        if problem:
            failed += 1
            stdout.write(f"{where}: {problem}")
    if failed:
        raise CommandError(
            f"{failed} of {replayed} histories do not fit today's code. Such instances would fail after a deployment."
        )
    stdout.write(f"{replayed} histories replayed; all fit today's code.")


def _histories(options: dict[str, Any]) -> Iterator[tuple[str, RecordedHistory]]:
    """Each history with the words that name it."""
    if options["files"]:
        for path in _files(options["files"]):
            yield str(path), _read(path)
        return
    since: timedelta | None = options["since"]
    stored = stored_histories(name=options["name"], instance_id=options["instance"], ended_within=since)
    for history in stored:
        yield f"{history.name} {history.instance_id}", history


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        else:
            yield path


def _read(path: Path) -> RecordedHistory:
    try:
        return RecordedHistory.from_json(path.read_bytes())
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}. Name a file that `export` wrote.") from error
    except msgspec.DecodeError as error:
        raise CommandError(f"{path} is no record of a history: {error}. Name a file that `export` wrote.") from error
