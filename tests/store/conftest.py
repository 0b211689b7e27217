"""Every case runs on the plain ORM store and on the tuned store of the database under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from orchestrations.store import get_store
from orchestrations.store.contract import ClaimedInstance, NewInstance, Store
from orchestrations.store.orm import OrmStore
from tests.waiting import eventually

HUB = "conformance"


@pytest.fixture(params=["orm", "tuned"])
def store(request) -> Store:
    return OrmStore(HUB, "default") if request.param == "orm" else get_store(HUB, "default")


@pytest.fixture
def open_lease(store) -> Callable[..., int]:
    """Opens the lease of a worker process, and returns its token."""

    def open_lease(worker: str = "host:1") -> int:
        return store.open_lease(worker, "host", 1, timedelta(seconds=15), 16, "{}")

    return open_lease


@pytest.fixture
def token(open_lease) -> int:
    return open_lease()


@pytest.fixture
def start(store) -> Callable[..., int]:
    """Starts an instance, and returns its primary key."""

    def start(instance_id: str = "order-1", **columns: Any) -> int:
        [created] = store.create_instances([NewInstance(instance_id, "order", **columns)])
        return created.pk

    return start


@pytest.fixture
def claim(store, token) -> Callable[..., ClaimedInstance]:
    """Claims the only instance that has something to do."""

    def claim(by: int | None = None) -> ClaimedInstance:
        # SQLite's clock counts milliseconds: what was written within the present one may be visible only in the next.
        [claimed] = eventually(lambda: store.claim_instances(by or token, 10).instances, timeout_seconds=1)
        return claimed

    return claim


@pytest.fixture
def running(start, claim) -> Callable[..., ClaimedInstance]:
    """Starts an instance and claims it."""

    def running(instance_id: str = "order-1", **columns: Any) -> ClaimedInstance:
        start(instance_id, **columns)
        return claim()

    return running


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a function on a thread with a connection of its own; the connection is closed when it is done."""

    def with_own_connection(function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as threads:
        yield lambda function, *arguments: threads.submit(with_own_connection, function, *arguments)
