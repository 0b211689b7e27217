"""The only code that writes the hot tables; ``get_store()`` gives the one for the project's database."""

from __future__ import annotations

from functools import cache
from sqlite3 import sqlite_version_info
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrations.store.contract import Store

__all__ = ["get_store"]


def get_store(hub: str | None = None, using: str | None = None) -> Store:
    """The store of a task hub in the database of that alias; by default those of the setting ``DURABLE``.

    The same object for the same arguments; it keeps no state and may be shared by threads.
    """
    if hub is None or using is None:
        from orchestrations.conf import get_config

        config = get_config()
        hub = config.task_hub if hub is None else hub
        using = config.database if using is None else using
    return _store(hub, using)


@cache
def _store(hub: str, using: str) -> Store:
    """Chosen by the kind of database; the imports wait until the app registry is ready."""
    from django.db import connections

    connection = connections[using]
    if connection.vendor == "postgresql":
        from orchestrations.store.postgresql import PostgresqlStore

        return PostgresqlStore(hub, using)
    if connection.vendor == "sqlite" and sqlite_version_info >= (3, 35):
        from orchestrations.store.sqlite import SqliteStore

        return SqliteStore(hub, using)
    from orchestrations.store.orm import OrmStore

    return OrmStore(hub, using)
