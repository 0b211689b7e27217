"""Conformance: what each area of the engine promises, through the real store, in memory and replayed for each episode.

One module per area; its cases are the rows of the reference page of that area. Run with ``DATABASE_URL`` set, they run
on that database.
"""

from __future__ import annotations

import pytest

from tests.runtime.conftest import client, durable, events, make_worker, run, stage, work_once, worker

__all__ = ["client", "durable", "events", "make_worker", "run", "stage", "work_once", "worker"]


@pytest.fixture(params=[1000, 0], ids=["in memory", "replayed"])
def cache_size(request: pytest.FixtureRequest) -> int:
    return request.param
