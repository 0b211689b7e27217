"""Scratch databases: made for one run, dropped after it. Every name begins with ``df_bench_``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

PREFIX = "df_bench_"
SQLITE = "sqlite"
POSTGRESQL = "postgresql"


@contextmanager
def scratch(kind: str, name: str, server: str, folder: Path) -> Iterator[str]:
    """An empty database for the ``with`` block, as a URL (``sqlite:////…`` or ``postgresql://…``)."""
    make = _sqlite if kind == SQLITE else _postgresql
    with make(PREFIX + name, server, folder) as url:
        yield url


@contextmanager
def _sqlite(name: str, server: str, folder: Path) -> Iterator[str]:
    path = folder.resolve() / f"{name}.sqlite3"
    _remove(path)
    try:
        yield f"sqlite:///{path}"
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _postgresql(name: str, server: str, folder: Path) -> Iterator[str]:
    parts = urlsplit(server)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(drop)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(parts._replace(scheme=POSTGRESQL, path=f"/{name}"))
        finally:
            connection.execute(drop)


def server_version(kind: str, server: str) -> str:
    """The database's version, for the report."""
    if kind == SQLITE:
        import sqlite3

        return sqlite3.sqlite_version
    with psycopg.connect(server) as connection:
        return ".".join(map(str, divmod(connection.info.server_version, 10_000)))


def sqlite_path(url: str) -> str:
    """The file that a ``sqlite:///`` URL names."""
    return url.removeprefix("sqlite:///")
