"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Callable
from shutil import copyfile

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.core.servers.basehttp import WSGIRequestHandler
from django.db import connection

from tests import emptying, migrated, waiting

emptying.install()
# The live server writes head and body of an answer one after the other; by Nagle's algorithm the body would then wait
# 40 ms for the delayed acknowledgement of the head.
WSGIRequestHandler.disable_nagle_algorithm = True


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory, django_db_modify_db_settings_parallel_suffix):
    """SQLite in a file, as in production: in memory it has neither WAL nor a wait for another's transaction.

    No commit waits for the disk: tests kill processes, but do not cut the power.
    """
    for database in django_settings.DATABASES.values():
        if database["ENGINE"] == "django.db.backends.sqlite3":
            database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
            database["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"
        else:
            database["OPTIONS"]["options"] = "-c synchronous_commit=off"


@pytest.fixture(scope="session")
def kept_database(request):
    """Where the migrated SQLite database is, from the second run on."""
    return request.config.cache.mkdir("migrated") / f"{migrated.fingerprint()}.sqlite3"


@pytest.fixture(scope="session")
def django_db_use_migrations(django_db_use_migrations, kept_database):
    """What pytest-django asks just before it makes the databases."""
    migrated.begin_with(kept_database)
    return django_db_use_migrations


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker, kept_database):
    """PostgreSQL drops no database that has sessions, and processes that tests killed may leave theirs for a moment."""
    if connection.vendor == "sqlite" and not kept_database.exists():
        migrated.keep(kept_database, connection.alias)
    yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


@pytest.fixture(scope="session")
def migrated_into(django_db_setup, kept_database):
    """Gives a site of its own, with its data in that folder, an SQLite database that is migrated, if there is one."""
    return lambda folder: kept_database.exists() and copyfile(kept_database, folder / "durable.sqlite3")


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., object]:
    """Waits for a condition: ``eventually(lambda: instance.status == "Completed")``."""
    return waiting.eventually


@pytest.fixture(autouse=True)
def files_of_their_own(settings, tmp_path_factory):
    """Large payloads of tests go to a folder that pytest removes; it exists once a test writes there."""
    settings.MEDIA_ROOT = tmp_path_factory.getbasetemp() / "files"


@pytest.fixture(autouse=True)
def quick_password_hashes(settings):
    """Users of tests need passwords, but not ones that resist an attacker with a graphics card."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def nothing_counted_before():
    """Keys of rolled-back rows are given again, and what one test's key has used up is not another's."""
    cache.clear()
