"""The settings: what the environment may ask for, what it gets, and what is refused."""

from __future__ import annotations

import os
import runpy
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from durable_admin.databases import database_settings
from durable_admin.safeguards import is_loopback, kept_secret

ROOT = Path(__file__).resolve().parent.parent
KEY = "k7Jx-Qw2mZp9Rt4VbN6yHc1LsD8fGa3UeT5iOqWzXnYrBvCmPk"
READ = (
    "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SECURE_SSL", "SECURE_HSTS_SECONDS", "DATABASE_URL",
    "DATABASE_POOL", "VAR_DIR", "HOST", "PORT", "WORKERS", "DURABLE_APPS", "DURABLE_SYSTEM_KEY", "APPROVALS_ONLY",
    "LOG_LEVEL", "LOG_FORMAT",
)  # fmt: skip


@pytest.fixture
def settings_of(monkeypatch, tmp_path) -> Callable[..., dict]:
    """The settings under that environment and no other."""

    def read(**environment: str) -> dict:
        for name in READ:
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"VAR_DIR": str(tmp_path / "var")} | environment).items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "durable_admin" / "settings.py"))

    return read


def test_without_any_environment_the_site_is_for_this_machine_only(settings_of, tmp_path):
    settings = settings_of()

    assert not settings["PRODUCTION"]
    assert not settings["DEBUG"]
    assert settings["HOST"] == "127.0.0.1"
    assert settings["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert settings["DATABASES"]["default"]["NAME"] == str(tmp_path / "var" / "durable.sqlite3")


def test_the_key_of_a_local_site_is_random_kept_and_its_owners_alone(settings_of, tmp_path):
    first = settings_of()["SECRET_KEY"]

    assert settings_of()["SECRET_KEY"] == first
    assert settings_of(VAR_DIR=str(tmp_path / "other"))["SECRET_KEY"] != first
    assert stat.S_IMODE((tmp_path / "var" / "secret_key").stat().st_mode) == 0o600


def test_a_site_with_a_key_is_in_production_and_writes_none(settings_of, tmp_path):
    settings = settings_of(SECRET_KEY=KEY, ALLOWED_HOSTS="durable.example.org", DATABASE_URL="postgres://db/durable")

    assert settings["PRODUCTION"]
    assert settings["SECURE_SSL_REDIRECT"]
    assert settings["SESSION_COOKIE_SECURE"]
    assert settings["CSRF_COOKIE_SECURE"]
    assert settings["SECURE_HSTS_SECONDS"] > 0
    assert "Hashed" in settings["STORAGES"]["staticfiles"]["BACKEND"]
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"SECRET_KEY": "short"}, "SECRET_KEY can be guessed"),
        ({"SECRET_KEY": "django-insecure-" + KEY}, "SECRET_KEY can be guessed"),
        ({"ALLOWED_HOSTS": "durable.example.org"}, "opens the site to durable.example.org, so it needs a SECRET_KEY"),
        ({"ALLOWED_HOSTS": "*", "SECRET_KEY": KEY}, "ALLOWED_HOSTS holds '*'"),
        ({"ALLOWED_HOSTS": "durable.example.org", "SECRET_KEY": KEY, "DEBUG": "true"}, "DEBUG shows the site's inside"),
        ({"DEBUG": "perhaps"}, "DEBUG is 'perhaps': give true or false"),
        ({"SECURE_SSL": "of"}, "SECURE_SSL is 'of': give true or false"),
        ({"PORT": "http"}, "PORT is 'http': give a whole number from 1 to 65535"),
        ({"WORKERS": "0"}, "WORKERS is '0': give a whole number from 1 to 256"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml': give one of line, json"),
        ({"DATABASE_URL": "nosql://user:hidden@host/name"}, "DATABASE_URL has no scheme that is known"),
    ],
)
def test_what_is_unsafe_or_misspelt_is_refused(settings_of, environment, reason):
    with pytest.raises(ImproperlyConfigured, match=reason.replace("*", r"\*")) as refusal:
        settings_of(**environment)

    assert "hidden" not in str(refusal.value)


def test_lists_may_be_written_with_spaces_and_an_empty_one_is_none(settings_of):
    settings = settings_of(SECRET_KEY=KEY, ALLOWED_HOSTS="a.example.org, b.example.org", DURABLE_APPS="")

    assert settings["ALLOWED_HOSTS"] == ["a.example.org", "b.example.org"]
    assert "" not in settings["INSTALLED_APPS"]


def test_a_teams_apps_join_the_site(settings_of):
    assert "shop.billing" in settings_of(DURABLE_APPS="shop.billing,shop.stock")["INSTALLED_APPS"]


def test_the_system_key_reaches_the_app(settings_of):
    assert settings_of()["DURABLE"]["SYSTEM_KEY"] is None
    assert settings_of(DURABLE_SYSTEM_KEY="s3cret")["DURABLE"]["SYSTEM_KEY"] == "s3cret"


def test_the_deployment_check_finds_nothing_to_say(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "VAR_DIR": str(tmp_path),
        "SECRET_KEY": KEY,
        "ALLOWED_HOSTS": "durable.example.org",
        "DATABASE_URL": "postgres://durable@127.0.0.1:5432/durable",
    }

    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stderr


def test_settings_that_can_not_work_end_a_command_with_one_line(tmp_path):
    refused = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT, env={"VAR_DIR": str(tmp_path), "PORT": "web"}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert refused.returncode == 1
    assert refused.stderr == "The settings can't work: PORT is 'web': give a whole number from 1 to 65535.\n"


class TestDatabases:
    def test_sqlite_waits_for_its_lock_and_keeps_what_it_committed(self):
        options = database_settings("sqlite:////tmp/durable.sqlite3", pooled=False)["OPTIONS"]

        assert options["transaction_mode"] == "IMMEDIATE"
        assert "journal_mode=WAL" in options["init_command"]
        assert "synchronous=FULL" in options["init_command"]

    def test_a_worker_keeps_its_connections_and_shares_none_across_a_fork(self):
        database = database_settings("postgres://durable@db/durable?sslmode=require", pooled=False)

        assert database["CONN_MAX_AGE"] > 0
        assert database["OPTIONS"]["sslmode"] == "require"
        assert "pool" not in database["OPTIONS"]

    def test_a_web_process_pools_its_connections(self):
        database = database_settings("postgres://durable@db/durable", pooled=True)

        assert database["CONN_MAX_AGE"] == 0
        assert database["OPTIONS"]["pool"]["max_size"] > 0


class TestSecrets:
    def test_all_who_ask_at_once_get_the_same_secret(self, tmp_path):
        gate = threading.Barrier(8)
        secrets: list[str] = []

        def ask(number: int) -> None:
            gate.wait()
            secrets.append(kept_secret(tmp_path / "kept" / "secret", lambda: f"secret {number}"))

        askers = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()

        assert len(secrets) == 8
        assert len(set(secrets)) == 1
        assert [path.name for path in (tmp_path / "kept").iterdir()] == ["secret"], "drafts are left behind"

    def test_a_secret_that_others_could_read_is_closed_to_them(self, tmp_path):
        path = tmp_path / "secret"
        path.write_text("kept")
        path.chmod(0o644)

        assert kept_secret(path, lambda: "new") == "kept"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.3.2.1", "::1", "[::1]", "shop.localhost"])
def test_hosts_that_mean_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "127.0.0.1.example.org", "localhost.example.org", "10.0.0.1", "*", ""]
)
def test_hosts_that_mean_more(host):
    assert not is_loopback(host)
