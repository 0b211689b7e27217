"""From a database URL to Django's settings: what each database needs to hold orchestrations safely and fast.

It opens no connection.
"""

from __future__ import annotations

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

CONNECTION_SECONDS = 600  # how long a worker's thread keeps a connection
POOL_SIZE = 20  # connections of one web process: half of what PostgreSQL's default of 100 leaves to two of them
POOL_WAIT_SECONDS = 10.0  # then the request fails, rather than queueing behind a database that is overrun
SQLITE_WAIT_SECONDS = 20  # for another process's transaction to end

SQLITE_OPTIONS = {
    # Transactions that write take the lock when they begin: one that upgrades later fails at once when it has lost.
    "transaction_mode": "IMMEDIATE",
    "timeout": SQLITE_WAIT_SECONDS,
    # WAL lets readers go on beside the writer; FULL keeps what was committed, even when the power fails.
    "init_command": (
        f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout={SQLITE_WAIT_SECONDS * 1000};"
    ),
}
POSTGRESQL_OPTIONS = {
    # The engine runs a few statements over and over: prepared on the server they take half the time. A connection
    # pooler in transaction mode must know prepared statements, as PgBouncer does from 1.21 on.
    "prepare_threshold": 2,
}
SCHEMES = tuple(environ.Env.DB_SCHEMES)


def database_settings(url: str, *, pooled: bool) -> dict[str, Any]:
    """Returns the entry of DATABASES for ``url``; ``pooled`` shares connections between a web process's threads.

    Raises ImproperlyConfigured for a URL of no known scheme. The message never holds the URL, which has a password.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES or "://" not in url:
        raise ImproperlyConfigured(
            "DATABASE_URL has no scheme that is known: write it as postgres://user:password@host:5432/name "
            "or sqlite:////folder/file.sqlite3."
        )
    database: dict[str, Any] = environ.Env.db_url_config(url)
    database["CONN_HEALTH_CHECKS"] = True
    database["CONN_MAX_AGE"] = CONNECTION_SECONDS
    options = database.setdefault("OPTIONS", {})
    if database["ENGINE"] == "django.db.backends.sqlite3":
        options.update(SQLITE_OPTIONS)
    if database["ENGINE"] == "django.db.backends.postgresql":
        options.update(POSTGRESQL_OPTIONS)
    if pooled:
        database["CONN_MAX_AGE"] = 0
        if database["ENGINE"] == "django.db.backends.postgresql":
            options["pool"] = {"min_size": 1, "max_size": POOL_SIZE, "timeout": POOL_WAIT_SECONDS}
    return database
