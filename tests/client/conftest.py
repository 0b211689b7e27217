"""A client on an empty hub, without workers: what it writes stays where it was written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrations import OrchestrationClient
from tests.functions import registered


@pytest.fixture(autouse=True)
def functions() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def client(db) -> OrchestrationClient:
    return OrchestrationClient()
