"""``manage.py durable lint`` names each place with its file, line, rule and alternative."""

from __future__ import annotations

from time import sleep as doze

import pytest
from django.core.management import CommandError

from orchestrations import orchestrator


def test_findings_are_printed_and_end_with_1(stage, command):
    @orchestrator
    def impatient(context):
        doze(1)
        yield context.create_timer(context.current_utc_datetime)

    with pytest.raises(CommandError, match="1 findings in 1 orchestrators") as error:
        command("lint", "impatient")

    line = impatient.__code__.co_firstlineno + 2
    assert error.value.returncode == 1
    assert command.printed == (
        f"tests/management/test_lint.py:{line}: sleep: impatient sleeps (doze). "
        "Use a durable timer: context.create_timer(timedelta(...)).\n"
    )


def test_clean_code_ends_with_0(stage, command):
    assert command("lint", "chain", "fan_out") == "2 orchestrators read; nothing found.\n"


def test_an_unknown_name_is_told(stage, command):
    with pytest.raises(CommandError, match="No orchestrator is named 'nothing'"):
        command("lint", "nothing")
