"""Stored histories are held against today's code before it is deployed."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from orchestrations import orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.models import HistoryEvent, Instance
from tests.runtime import functions


@pytest.fixture
def deploy():
    """Registers another function under an orchestrator's name."""

    def deploy(function, name: str) -> None:
        registry._orchestrators.pop(name, None)
        orchestrator(name=name)(function)

    return deploy


def calls_something_else(context):
    yield context.call_activity("something_else")


def test_live_instances_that_fit_are_counted(client, worker, run, command):
    run(functions.waits, 1, "one")
    run(functions.chain, 1, "ended")

    assert command("replay") == "1 histories replayed; all fit today's code.\n"
    assert command("replay", "--since", "1h") == "2 histories replayed; all fit today's code.\n"
    assert command("replay", "--name", "chain") == "0 histories replayed; all fit today's code.\n"
    assert command("replay", "--instance", "ended") == "1 histories replayed; all fit today's code.\n"


def test_code_that_does_not_fit_is_named_with_the_event_and_the_line_and_nothing_is_written(run, command, deploy):
    run(functions.chain, 1, "old")
    before = list(HistoryEvent.objects.order_by("pk").values()), list(Instance.objects.values())
    deploy(calls_something_else, "chain")

    with pytest.raises(CommandError, match="1 of 1 histories do not fit") as error:
        command("replay", "--since", "1d")

    assert error.value.returncode == 1
    assert "chain old: Event 2 of the history is TaskScheduled 'work' (task 1), but the code decided" in (
        command.printed
    )
    assert f"{__file__}:{calls_something_else.__code__.co_firstlineno + 1}" in command.printed
    assert (list(HistoryEvent.objects.order_by("pk").values()), list(Instance.objects.values())) == before


def test_an_orchestrator_that_is_gone_does_not_fit(run, command):
    run(functions.waits, 1, "one")
    registry._orchestrators.pop("waits")

    with pytest.raises(CommandError):
        command("replay")

    assert "No orchestrator named 'waits'" in command.printed


def test_a_file_that_export_wrote_replays_without_the_database(run, command, deploy, tmp_path):
    run(functions.chain, 1, "golden")
    path = tmp_path / "histories" / "golden.json"
    path.parent.mkdir()
    command("export", "golden", "--output", path)
    Instance.objects.all().delete()

    assert command("replay", path.parent) == "1 histories replayed; all fit today's code.\n"

    deploy(calls_something_else, "chain")
    with pytest.raises(CommandError):
        command("replay", path)
    assert f"{path}: Event 2 of the history" in command.printed


def test_an_instance_that_failed_for_unfit_code_is_replayed_up_to_there(client, worker, run, command, deploy):
    client.start_new(functions.waits, "one", 1)
    worker.run_until_idle()
    fitting = registry.orchestrator("waits").function
    deploy(calls_something_else, "waits")
    worker.runtime.cache.clear()
    client.raise_event("one", "go", 1)
    assert worker.run_until_ended("one").runtime_status == "Failed"
    deploy(fitting, "waits")

    assert command("replay", "--instance", "one") == "1 histories replayed; all fit today's code.\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["export", "nobody"], "No orchestration instance has the id 'nobody'"),
        (["replay", "/nowhere.json"], "can't be read: No such file"),
        (["replay", __file__], "is no record of a history"),
        (["replay", "--since", "soon"], "'soon' is no duration"),
        (["replay", "--since", "999999999w"], "is no duration"),
        ([], "required: subcommand"),
    ],
)
@pytest.mark.django_db
def test_wrong_arguments_are_told(command, arguments, problem):
    with pytest.raises(CommandError, match=problem):
        command(*arguments)
