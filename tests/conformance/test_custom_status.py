"""Custom status: any JSON, the last value of a turn, kept after the end and over generations."""

from __future__ import annotations

import pytest

from orchestrations import orchestrator


@pytest.mark.parametrize("value", [None, True, 0, "text", [1, None], {"a": {"b": []}}], ids=repr)
def test_any_json_value_is_shown(run, value):
    @orchestrator
    def tells(context):
        context.set_custom_status("something else")
        context.set_custom_status(value)
        yield context.wait_for_external_event("go")

    assert run(tells, None, "order").custom_status == value


def test_of_several_values_in_one_turn_the_last_one_counts_and_it_is_kept_after_the_end(client, worker, run):
    @orchestrator
    def tells(context):
        context.set_custom_status("first")
        context.set_custom_status("second")
        yield context.wait_for_external_event("go")
        context.set_custom_status("third")
        context.set_custom_status("last")
        return "done"

    assert run(tells, None, "order").custom_status == "second"
    client.raise_event("order", "go")
    ended = worker.run_until_ended("order")

    assert (ended.output, ended.custom_status) == ("done", "last")


def test_it_is_kept_after_a_failure_and_a_termination(client, worker, run):
    @orchestrator
    def tells(context, fails):
        context.set_custom_status("here")
        yield context.wait_for_external_event("go")
        raise ValueError(fails)

    for instance_id in ("failed", "terminated"):
        run(tells, 1, instance_id)
    client.raise_event("failed", "go")
    client.terminate("terminated")
    worker.run_until_idle()

    for status in ("failed", "terminated"):
        found = client.get_status(status)
        assert (str(found.runtime_status).lower(), found.custom_status) == (status, "here")


def test_the_next_generation_begins_with_it(run):
    @orchestrator
    def goes_on(context, number):
        if number:
            yield context.wait_for_external_event("never")
        context.set_custom_status("of the first")
        context.continue_as_new(number + 1)

    status = run(goes_on, 0, "order")

    assert (status.runtime_status, status.custom_status) == ("Running", "of the first")
