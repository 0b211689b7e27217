"""Each system check, set off by what it is for."""

from __future__ import annotations

import time

import pytest
from django.conf import settings as site
from django.core.checks import run_checks
from django.db import connections
from django.test import override_settings

from orchestrations import activity, checks, orchestrator
from orchestrations.authoring.registry import registry
from tests.authoring import shop


def ids(messages):
    assert all(message.hint for message in messages)
    return [message.id.removeprefix("orchestrations.") for message in messages]


def cluster(**changes):
    return override_settings(Q_CLUSTER=site.Q_CLUSTER | changes)


def test_the_site_passes_them_all():
    assert ids(run_checks(tags=["durable"])) == []


@pytest.mark.parametrize(
    ("durable", "expected"),
    [
        ({"LEASES": 3}, ["E001"]),
        ({"TASK_HUB": "a b"}, ["E002"]),
        ({"TASK_HUB": "-a"}, ["E002"]),
        ({"TASK_HUB": "a" * 46}, ["E002"]),
        ({"TASK_HUB": "a" * 45}, []),
        ({"LEASE_SECONDS": 9, "HEARTBEAT_SECONDS": 3}, ["E003"]),
        ({"LEASE_SECONDS": 9.1, "HEARTBEAT_SECONDS": 3}, []),
        ({"SWEEP_SECONDS": 20}, ["W001"]),
        ({"DEFAULT_VERSION": "2"}, ["W002"]),
        ({"DEFAULT_VERSION": "10", "VERSION": "9"}, ["W002"]),
        ({"DEFAULT_VERSION": "9", "VERSION": "10"}, []),
        ({"DEFAULT_VERSION": "2", "VERSION_MATCH": "none"}, []),
    ],
)
def test_the_settings_of_the_app(durable, expected):
    with override_settings(DURABLE=durable):
        assert ids(checks.check_settings()) == expected


@pytest.mark.parametrize(
    ("durable", "expected"),
    [
        ({}, []),
        ({"HTTP_ALLOWED": ["localhost", "127.0.0.1:8000", "10.0.0.0/8"]}, []),
        ({"HTTP_ALLOWED": ["10.0.0.1/8"]}, ["E020"]),
        ({"HTTP_TOKEN_SOURCES": {"vault": "tests.test_checks.cluster"}}, []),
        ({"HTTP_TOKEN_SOURCES": {"vault": "tests.test_checks.nothing"}}, ["E021"]),
        ({"HTTP_TOKEN_SOURCES": {"vault": "nothing"}}, ["E021"]),
        ({"HTTP_TOKEN_SOURCES": {"vault": "tests.test_checks.__doc__"}}, ["E021"]),
        ({"HTTP_ALLOWED": "localhost"}, []),  # E001 says it
    ],
)
def test_the_settings_of_http_calls(durable, expected):
    with override_settings(DURABLE=durable):
        assert ids(checks.check_http()) == expected


def test_a_database_that_does_not_exist():
    with override_settings(DURABLE={"DATABASE": "elsewhere"}):
        assert ids(checks.check_database()) == ["E004"]


def test_naive_times():
    with override_settings(USE_TZ=False):
        assert "E005" in ids(checks.check_database())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["E006", "E007"]),
        ({"transaction_mode": "DEFERRED", "init_command": "PRAGMA journal_mode = 'wal'"}, ["E006"]),
        ({"transaction_mode": "immediate", "init_command": "PRAGMA synchronous=FULL;"}, ["E007"]),
        ({"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"}, []),
    ],
)
def test_sqlite_takes_concurrent_writers_only_with_the_right_options(options, expected, monkeypatch):
    hub = connections["default"]
    monkeypatch.setattr(type(hub), "vendor", "sqlite")
    monkeypatch.setitem(hub.settings_dict, "OPTIONS", options)
    assert ids(checks.check_database()) == expected


def test_other_databases_need_no_options(monkeypatch):
    hub = connections["default"]
    monkeypatch.setattr(type(hub), "vendor", "postgresql")
    monkeypatch.setitem(hub.settings_dict, "OPTIONS", {})
    assert ids(checks.check_database()) == []


def test_django_q2_that_is_not_installed():
    with override_settings(INSTALLED_APPS=[app for app in site.INSTALLED_APPS if app != "django_q"]):
        assert ids(checks.check_cluster()) == ["E008"]


@pytest.mark.parametrize(
    "path", [None, "", "django_q.brokers.orm.ORM", "nowhere.Broker", "orchestrations.client.hub.LIVE", 3]
)
def test_a_broker_that_is_not_the_task_hub(path):
    with cluster(broker_class=path):
        assert ids(checks.check_cluster()) == ["E009"]


def test_a_cluster_that_is_not_configured(settings):
    del settings.Q_CLUSTER
    assert ids(checks.check_cluster()) == ["E009"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"timeout": 600, "retry": 600}, ["E010"]),
        ({"timeout": 31, "retry": 60}, ["E011"]),
        ({"timeout": 32, "retry": 60}, []),
        ({"timeout": None, "retry": 60}, []),
    ],
)
def test_the_times_of_the_cluster(changes, expected):
    with cluster(**changes):
        assert ids(checks.check_cluster()) == expected


def test_a_setting_that_cannot_be_read_is_reported_once():
    with override_settings(DURABLE={"LEASES": 3}):
        assert ids(run_checks(tags=["durable"])) == ["E001"]


def test_an_annotation_that_names_nothing():
    with registry.preserved():
        activity(shop.unresolvable)
        messages = checks.check_functions()
    assert ids(messages) == ["E012"]
    assert "The activity 'unresolvable'" in messages[0].msg


def test_code_that_is_not_deterministic_is_a_warning_with_its_line():
    with registry.preserved():

        @orchestrator
        def impure(context):
            return time.time()

        messages = checks.check_determinism()
    assert ids(messages) == ["W003"]
    assert f"{__file__}:{impure.__code__.co_firstlineno + 2}: clock: impure reads the clock" in messages[0].msg
    assert "ignore[clock]" in messages[0].hint
