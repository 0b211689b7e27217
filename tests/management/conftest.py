"""The engine's fixtures, for commands that look at what it has written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.management import call_command

from tests.runtime.conftest import cache_size, client, durable, events, make_worker, run, stage, worker

__all__ = ["cache_size", "client", "durable", "events", "make_worker", "run", "stage", "worker"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs ``manage.py durable`` with these arguments and returns what it prints, also where it fails."""

    def command(*arguments: object) -> str:
        capsys.readouterr()
        try:
            call_command("durable", *(str(argument) for argument in arguments))
        finally:
            command.printed = capsys.readouterr().out
        return command.printed

    return command
