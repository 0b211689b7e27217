"""Which store a project gets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import connection
from django.test import override_settings

from orchestrations import store as package
from orchestrations.store import get_store
from orchestrations.store.orm import OrmStore
from orchestrations.store.postgresql import PostgresqlStore
from orchestrations.store.sqlite import SqliteStore


def test_the_store_is_that_of_the_database():
    expected = {"postgresql": PostgresqlStore, "sqlite": SqliteStore}

    assert type(get_store("hub", "default")) is expected[connection.vendor]


def test_hub_and_database_come_from_the_settings():
    with override_settings(DURABLE={"TASK_HUB": "orders"}):
        store = get_store()

    assert (store.hub, store.using) == ("orders", "default")


def test_the_same_hub_has_the_same_store():
    assert get_store("hub", "default") is get_store("hub", "default")
    assert get_store("hub", "default") is not get_store("other", "default")


@pytest.mark.parametrize(
    ("vendor", "sqlite_version", "expected"),
    [
        ("postgresql", (3, 40, 0), PostgresqlStore),
        ("sqlite", (3, 40, 0), SqliteStore),
        ("sqlite", (3, 34, 0), OrmStore),
        ("mysql", (3, 40, 0), OrmStore),
        ("oracle", (3, 40, 0), OrmStore),
    ],
)
def test_every_database_has_a_store(monkeypatch, vendor, sqlite_version, expected):
    monkeypatch.setattr(package, "sqlite_version_info", sqlite_version)
    monkeypatch.setattr("django.db.connections", {"default": SimpleNamespace(vendor=vendor)})

    assert type(package._store.__wrapped__("hub", "default")) is expected
