"""Histories that earlier versions of the engine wrote, which today's engine and samples must decide again as they are.

``manage.py durable export INSTANCE --output tests/replay_histories/histories/NAME.json`` adds one. None is ever written
anew because the engine has changed: that is the change which they are there to find.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrations.runtime.recorded_histories import RecordedHistory, mismatch
from tests.conformance import rewinding
from tests.runtime import functions

FILES = sorted((Path(__file__).parent / "histories").glob("*.json"))


@pytest.fixture(autouse=True)
def code():
    with functions.registered(), rewinding.registered():
        yield


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_todays_code_decides_what_the_history_has(file):
    assert mismatch(RecordedHistory.from_json(file.read_bytes())) == ""


def test_there_are_histories_of_every_kind_of_event_but_those_of_entities():
    kinds = {event.type.value for file in FILES for event in RecordedHistory.from_json(file.read_bytes()).events}

    assert kinds >= {
        "ExecutionStarted",
        "ExecutionCompleted",
        "ExecutionSuspended",
        "ExecutionResumed",
        "ExecutionRewound",
        "TaskScheduled",
        "TaskCompleted",
        "TaskFailed",
        "TimerCreated",
        "TimerFired",
        "EventRaised",
        "SubOrchestrationInstanceCreated",
        "SubOrchestrationInstanceCompleted",
        "SubOrchestrationInstanceFailed",
    }
