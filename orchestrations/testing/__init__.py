"""For the tests of apps with orchestrations: the real engine in the test's own process, and replays of old histories.

There is no second engine here; what passes in a test has run on the code that runs in production.
"""

from __future__ import annotations

from orchestrations.runtime.recorded_histories import RecordedHistory, mismatch, record_history
from orchestrations.testing.alone import EntityOutcome, execute_entity, orchestrator_generator_wrapper
from orchestrations.testing.answers import answer_task, answering_http
from orchestrations.testing.worker import DurableTestCase, InProcessWorker

__all__ = [
    "DurableTestCase",
    "EntityOutcome",
    "InProcessWorker",
    "RecordedHistory",
    "answer_task",
    "answering_http",
    "assert_replays",
    "execute_entity",
    "orchestrator_generator_wrapper",
    "record_history",
]


def assert_replays(history: RecordedHistory) -> None:
    """Raise AssertionError where today's code of the orchestrator would not decide again what the history says.

    The message names the event, what the history has, what the code did and at which line. Instances that are running
    when such code is deployed would fail.
    """
    problem = mismatch(history)
    if problem:
        raise AssertionError(problem)
