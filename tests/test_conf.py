"""The setting DURABLE."""

from __future__ import annotations

from dataclasses import fields

import pytest
from django.test import override_settings

from orchestrations.conf import DurableConfig, get_config
from orchestrations.errors import ConfigurationError


def test_every_key_has_a_default():
    with override_settings(DURABLE={}):
        config = get_config()
    assert config == DurableConfig()
    assert (config.task_hub, config.lease_seconds, config.heartbeat_seconds) == ("default", 15.0, 3.0)


def test_the_setting_may_be_missing(settings):
    del settings.DURABLE
    assert get_config() == DurableConfig()


def test_values_override_defaults_and_are_read_again_when_the_setting_changes():
    with override_settings(DURABLE={"TASK_HUB": "green", "LEASE_SECONDS": 30}):
        assert get_config().task_hub == "green"
        assert get_config().lease_seconds == 30.0
        assert get_config() is get_config()
    with override_settings(DURABLE={"TASK_HUB": "blue"}):
        assert get_config().task_hub == "blue"


@pytest.mark.parametrize(
    ("durable", "problem"),
    [
        ({"LEASE_SECOND": 3}, "unknown key 'LEASE_SECOND'. Did you mean 'LEASE_SECONDS'?"),
        ({"task_hub": "a"}, "unknown key 'task_hub'. Did you mean 'TASK_HUB'?"),
        ({3: 3}, "unknown key 3. The keys are ACTIVITY_THREADS"),
        ({"LEASE_SECONDS": "15"}, "DURABLE['LEASE_SECONDS'] is '15'. Set a number of seconds above 0"),
        ({"LEASE_SECONDS": 0}, "is 0. Set a number"),
        ({"LEASE_SECONDS": True}, "is True. Set a number"),
        ({"LEASE_SECONDS": float("nan")}, "is nan. Set a number"),
        ({"LEASE_SECONDS": float("inf")}, "is inf. Set a number"),
        ({"BATCH_SIZE": 2.5}, "DURABLE['BATCH_SIZE'] is 2.5. Set a whole number above 0"),
        ({"CACHE_SIZE": -1}, "DURABLE['CACHE_SIZE'] is -1. Set a whole number of 0 or more"),
        ({"TASK_HUB": ""}, "DURABLE['TASK_HUB'] is a str or empty. Set a string"),
        ({"TASK_HUB": None}, "DURABLE['TASK_HUB'] is a NoneType or empty"),
        ({"SYSTEM_KEY": 3}, "DURABLE['SYSTEM_KEY'] is a int or empty"),
        ({"DETERMINISM_GUARD": 1}, "DURABLE['DETERMINISM_GUARD'] is 1. Set True or False"),
        ({"VERSION": 2}, "DURABLE['VERSION'] is a int or empty. Set a string"),
        ({"VERSION": "x" * 65}, "DURABLE['VERSION'] is no line of at most 64 characters"),
        ({"DEFAULT_VERSION": "1\n2"}, "DURABLE['DEFAULT_VERSION'] is no line of at most 64 characters"),
        ({"VERSION_MATCH": "latest"}, "is 'latest'. Set one of 'none', 'strict', 'current-or-older'"),
        ({"VERSION_MISMATCH": None}, "is None. Set one of 'reject', 'fail'"),
        ({"HTTP_ALLOWED": "localhost"}, "DURABLE['HTTP_ALLOWED'] is no list of texts"),
        ({"HTTP_ALLOWED": [""]}, "DURABLE['HTTP_ALLOWED'] is no list of texts"),
        ({"HTTP_SECRETS": ["hush"]}, "DURABLE['HTTP_SECRETS'] is no dict of texts. Set a dict"),
        ({"HTTP_TOKEN_SOURCES": {"vault": 3}}, "DURABLE['HTTP_TOKEN_SOURCES'] is no dict of texts"),
        ({"SOURCE_LINK": "https://git.example/"}, "Set an address with {path} in it, such as 'https://git.example.com"),
        ({"SOURCE_LINK": "javascript:alert('{path}')"}, "it begins with https://, http://"),
        ({"REDACTED_KEYS": "password"}, "DURABLE['REDACTED_KEYS'] is no list of texts"),
        ([("TASK_HUB", "a")], "The setting DURABLE is a list. Make it a dict"),
    ],
)
def test_what_cannot_work_is_refused(durable, problem):
    with override_settings(DURABLE=durable), pytest.raises(ConfigurationError) as caught:
        get_config()
    assert problem in str(caught.value)


def test_secrets_are_not_shown():
    with override_settings(DURABLE={"HTTP_SECRETS": {"shop": "hush"}, "SYSTEM_KEY": "hush", "HTTP_ALLOWED": ["a"]}):
        assert "hush" not in repr(get_config())
        assert get_config().http_secrets == {"shop": "hush"}
        assert get_config().http_allowed == ("a",)
    with override_settings(DURABLE={"HTTP_SECRETS": {"shop": 3}}), pytest.raises(ConfigurationError) as caught:
        get_config()
    assert "3" not in str(caught.value)


def test_the_cache_may_be_switched_off():
    with override_settings(DURABLE={"CACHE_SIZE": 0, "SYSTEM_KEY": None}):
        assert get_config().cache_size == 0


def test_the_key_of_the_api_is_not_shown():
    with override_settings(DURABLE={"SYSTEM_KEY": "s3cret"}):
        assert "s3cret" not in repr(get_config())
        assert get_config().system_key == "s3cret"


def test_every_default_passes_the_rules_for_values():
    given = {setting.name.upper(): getattr(DurableConfig(), setting.name) for setting in fields(DurableConfig)}
    with override_settings(DURABLE=given):
        assert get_config() == DurableConfig()
