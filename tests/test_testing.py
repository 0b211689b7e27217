"""What apps get for their own tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction

from orchestrations import OrchestrationContext, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.errors import ConfigurationError, InstanceNotFound
from orchestrations.testing import DurableTestCase, InProcessWorker, RecordedHistory, assert_replays, record_history
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
