"""What apps get for their own tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import connection, transaction

from orchestrations import DurableEntity, EntityId, OrchestrationContext, TaskFailedError, entity, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.errors import ConfigurationError, InstanceNotFound
from orchestrations.testing import (
    DurableTestCase,
    InProcessWorker,
    RecordedHistory,
    assert_replays,
    execute_entity,
    orchestrator_generator_wrapper,
    record_history,
)
from tests import functions

with registry.preserved():

    @orchestrator
    def charging(context: OrchestrationContext, days: int):
        charged = yield context.call_activity(functions.charge, 7)
        yield context.create_timer(timedelta(days=days))
        answer = yield context.wait_for_external_event("answer")
        return [charged, answer]


class WorkerTests(DurableTestCase):
    """As an app's own tests are written."""

    def setUp(self) -> None:
        super().setUp()
        registered = functions.registered()
        registered.__enter__()
        self.addCleanup(registered.__exit__, None, None, None)
        registry.add_orchestrator(charging.durable)

    def test_an_instance_goes_as_far_as_it_can(self) -> None:
        instance_id = self.durable.start_new(charging, client_input=3)
        self.worker.run_until_idle()
        self.assertEqual(self.durable.get_status(instance_id).runtime_status, "Running")

        self.assertEqual(self.worker.skip_timers(instance_id), 1)
        self.durable.raise_event(instance_id, "answer", "yes")

        self.assertEqual(self.worker.run_until_ended(instance_id).output, [7, "yes"])

    def test_what_does_not_end_says_what_it_waits_for(self) -> None:
        instance_id = self.durable.start_new(charging, client_input=3)

        with self.assertRaisesRegex(AssertionError, f"{instance_id!r} did not end within 0.01 seconds.*timer"):
            self.worker.run_until_ended(instance_id, timeout_seconds=0.01)

    def test_an_unknown_instance_is_an_error(self) -> None:
        for call in (self.worker.run_until_ended, record_history):
            with self.assertRaises(InstanceNotFound):
                call("nobody")

    def test_a_recorded_history_replays_until_the_code_changes(self) -> None:
        instance_id = self.durable.start_new(charging, client_input=3, tags={"a": "b"})
        self.worker.run_until_idle()
        recorded = record_history(instance_id)
        read = RecordedHistory.from_json(recorded.to_json())
        self.assertEqual(read, recorded)
        assert_replays(read)

        other = replace(read, input="4", name="echo")

        with self.assertRaisesRegex(AssertionError, "TaskScheduled"):
            assert_replays(other)


@pytest.mark.django_db
def test_a_worker_that_could_not_see_the_tests_rows_refuses() -> None:
    with transaction.atomic(), pytest.raises(ConfigurationError, match="transactional_db"):
        InProcessWorker()


@pytest.mark.django_db(transaction=True)
def test_a_database_with_one_connection_for_all_threads_is_refused(monkeypatch) -> None:
    monkeypatch.setattr("django.db.backends.sqlite3.base.DatabaseWrapper.is_in_memory_db", lambda self: True)
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has such databases")
    with pytest.raises(ConfigurationError, match="file"):
        InProcessWorker()


# One function alone ---------------------------------------------------------------------------------------------------


class Broken:
    """A task that failed."""

    @property
    def result(self) -> Any:
        raise ValueError("no")


def test_a_generator_is_driven_with_the_results_of_mocked_tasks() -> None:
    def orchestrator_function(context: Any) -> Any:
        first = yield context.call_activity("double", 2)
        try:
            yield context.call_activity("fails")
        except ValueError as error:
            return [first, str(error)]

    tasks = [SimpleNamespace(result=4), Broken()]
    context = Mock(call_activity=Mock(side_effect=tasks))

    yielded = list(orchestrator_generator_wrapper(orchestrator_function(context)))

    assert yielded == [*tasks, [4, "no"]]
    assert [call.args for call in context.call_activity.call_args_list] == [("double", 2), ("fails",)]


def test_a_generator_that_ends_at_once_or_fails() -> None:
    def returns(context: Any) -> Any:
        return context
        yield

    def fails(context: Any) -> Any:
        yield context
        raise TaskFailedError("it failed", Mock())

    assert list(orchestrator_generator_wrapper(returns("done"))) == ["done"]
    with pytest.raises(TaskFailedError, match="it failed"):
        list(orchestrator_generator_wrapper(fails(SimpleNamespace(result=1))))


def test_an_operation_of_an_entity_alone() -> None:
    with registry.preserved():

        @entity
        def tally(context: Any) -> None:
            if context.operation_name == "reset":
                context.destruct_on_exit()
                return
            context.set_state(context.get_state(lambda: 0) + context.get_input())
            context.signal_entity(EntityId("audit", "all"), "note", context.entity_key)
            context.start_new("reports", {"by": context.orchestration_id}, "report-1")
            context.set_result("added")

        @entity
        class Shelf(DurableEntity):
            def put(self, item: str) -> int:
                self.set_state([*(self.get_state(list) or []), item])
                return len(self.get_state(list))

        @entity
        class Lamp:
            is_on = False

            def switch(self) -> None:
                self.is_on = not self.is_on

        added = execute_entity(tally, "add", 2, 40, key="a", orchestration_id="order")
        assert (added.result, added.state) == ("added", 42)
        [signal], [start] = added.signals, added.starts
        assert (signal.entity_id, signal.operation_name, signal.input) == (EntityId("audit", "all"), "note", "a")
        assert (start.name, start.input, start.instance_id) == ("reports", {"by": "order"}, "report-1")
        assert execute_entity("tally", "reset", state=42).state is None
        assert execute_entity("Tally", "add", 1).state == 1
        assert execute_entity(Shelf, "put", "tea", ["milk"]).result == 2
        assert execute_entity(Lamp, "switch").state == {"is_on": True}
        with pytest.raises(AttributeError, match="no operation 'burn'"):
            execute_entity(Lamp, "burn")
