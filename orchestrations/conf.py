"""The settings of the app: the dict ``DURABLE``, read through one typed object. Nothing is read while modules load."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from orchestrations.errors import ConfigurationError
from orchestrations.limits import CUSTOM_STATUS_BYTES, DISPATCH_ATTEMPTS, LARGE_PAYLOAD_BYTES, VERSION_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableConfig:
    """What ``DURABLE`` says; a key is the upper-case name of a field. Durations are in seconds."""

    task_hub: str = "default"
    """The hub that this site's workers serve and its clients write to."""
    database: str = "default"
    """Alias of the database that holds the hub."""
    dashboard_database: str | None = None
    """Alias of a replica that the dashboard's lists, counts, searches and exports read from; None for DATABASE."""
    dashboard_seconds: float = 1.0
    """That a statement of a page may take on PostgreSQL, and all of a page's may compute on SQLite."""
    system_key: str | None = field(default=None, repr=False)
    """The key that programs present to the management API; None refuses them all."""

    lease_seconds: float = 15.0
    """How long a worker that went silent keeps what it holds."""
    heartbeat_seconds: float = 3.0
    """Between two signs of life of a worker; less than a third of the lease."""
    sweep_seconds: float = 1.0
    """Between two looks for expired leases and due timers."""
    poll_seconds: float = 1.0
    """The longest sleep of an idle broker: what a lost wake-up costs."""
    drain_seconds: float = 1.0
    """How long a drain works before it gives way to django-q2's own tasks."""
    stop_seconds: float = 20.0
    """What running activities get to finish in when a worker is asked to stop."""

    batch_size: int = 200
    """Instances claimed at once at most, and thereby the size of a group commit."""
    activity_threads: int = 16
    """Ordinary activities that one worker process runs at once."""
    async_activities: int = 500
    """Asynchronous activities that one worker process runs at once."""
    activity_timeout_seconds: float = 3600.0
    """For one run of an activity that has no timeout of its own."""
    episode_timeout_seconds: float = 10.0
    """For an orchestrator between two waits; it is meant to take milliseconds."""
    version: str = ""
    """The version of the code that this worker runs, for orchestrators whose decorator declares none."""
    build: str = ""
    """What this deployment is called, such as a tag or a commit: the dashboard shows that of each worker."""
    default_version: str | None = None
    """What new instances of such orchestrators are marked with; None stands for VERSION."""
    version_match: Literal["none", "strict", "current-or-older"] = "current-or-older"
    """Which instances code may run: of any version, of its own, or of its own and older ones."""
    version_mismatch: Literal["reject", "fail"] = "reject"
    """An instance that the code may not run is left to other workers, or fails."""
    unknown_orchestrator: Literal["reject", "fail"] = "reject"
    """An instance whose orchestrator this worker does not have is left to other workers, or fails."""
    unknown_activity_seconds: float = 60.0
    """How long a scheduled activity that no live worker has may wait for one before it fails."""

    determinism_guard: bool = True
    """Orchestrators that read the clock, sleep, or reach outside the process fail with the line and the way out."""

    dispatch_attempts: int = DISPATCH_ATTEMPTS
    """How often work that kills its worker is tried before it fails as poison."""
    custom_status_bytes: int = CUSTOM_STATUS_BYTES
    """The longest custom status, as JSON text in UTF-16. Replays are held to it too."""
    cache_size: int = 1000
    """Suspended orchestrators that one worker process keeps, so that they need no replay."""

    http_allowed: tuple[str, ...] = ()
    """What ``call_http`` may reach although it is not public: names, addresses and networks, each with or without port.

    For development, and for services inside.
    """
    http_timeout_seconds: float = 30.0
    """For one request of ``call_http``, redirects and body included."""
    http_poll_seconds: float = 30.0
    """Before ``call_http`` asks again, where a 202 does not say when."""
    http_secrets: Mapping[str, str] | None = field(default=None, repr=False)
    """Values of headers, by the names that ``HttpSecret`` gives."""
    http_token_sources: Mapping[str, str] | None = None
    """Dotted paths of functions from a resource to a bearer token, by the kinds that ``TokenSource`` gives."""
    large_payload_bytes: int = LARGE_PAYLOAD_BYTES
    """A payload whose JSON text is longer becomes a compressed file; its row keeps a reference."""
    large_payload_storage: str = "default"
    """The alias in ``STORAGES`` of the storage that keeps those files. All hosts must reach the same one."""

    source_link: str | None = None
    """Where the dashboard links a line of code to: an address with ``{path}`` (in the project) and ``{line}`` in it."""
    redacted_keys: tuple[str, ...] = (
        *("password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "private_key", "access_key"),
        *("authorization", "credential", "credentials", "cookie", "iban", "card_number", "cvv", "cvc"),
    )
    """Keys whose values the dashboard hides in payloads, by whole words of theirs, in any case and style."""

    site_url: str | None = None
    """The site's own address, as in ``https://example.org``; without it messages to people have no links."""
    notifiers: Mapping[str, str] | None = None
    """Dotted paths of functions that tell people of questions, by channel; ``inbox`` and ``email`` are there."""
    link_answers: Literal["login", "code"] = "login"
    """Who follows the link of a message answers once signed in, or by the code that the message has in its text."""

    retention: Mapping[str, timedelta] | None = None
    """How long ended instances are kept, by status, in days or as a timedelta; others are kept for ever."""
    webhook_days: float = 30.0
    """How long messages to webhooks are kept to be looked at and sent again, delivered or not, in days."""
    retention_by_orchestrator: Mapping[str, Mapping[str, timedelta | None]] | None = None
    """The same for the orchestrators that are named; None keeps for ever, and other statuses are as RETENTION says."""


KEYS = {setting.name.upper(): setting for setting in fields(DurableConfig)}
ZERO_ALLOWED = frozenset({"CACHE_SIZE", "UNKNOWN_ACTIVITY_SECONDS"})
ENDS = ("Completed", "Failed", "Terminated", "Canceled")
LONGEST_DAYS = 36_500
SOURCE_SCHEMES = ("https://", "http://", "vscode://", "idea://", "pycharm://")
VERSIONS = frozenset({"VERSION", "DEFAULT_VERSION"})
EMPTY_ALLOWED = VERSIONS | {"BUILD"}
ONE_OF = {
    "VERSION_MATCH": ("none", "strict", "current-or-older"),
    "VERSION_MISMATCH": ("reject", "fail"),
    "UNKNOWN_ORCHESTRATOR": ("reject", "fail"),
    "LINK_ANSWERS": ("login", "code"),
}


def get_config() -> DurableConfig:
    """Return the settings. Raises ConfigurationError for an unknown key and for a value of the wrong type or size.

    The object is kept until the setting changes (as ``override_settings`` changes it).
    """
    return _read()


@lru_cache(maxsize=1)
def _read() -> DurableConfig:
    given = getattr(settings, "DURABLE", {})
    if not isinstance(given, dict):
        raise ConfigurationError(f"The setting DURABLE is a {type(given).__name__}. Make it a dict.")
    return DurableConfig(**{str(key).lower(): _checked(key, value) for key, value in given.items()})


@receiver(setting_changed, dispatch_uid="orchestrations.conf")
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        _read.cache_clear()


def _checked(key: object, value: Any) -> Any:
    if key not in KEYS:
        nearest = difflib.get_close_matches(str(key).upper(), KEYS, n=1)
        hint = f"Did you mean {nearest[0]!r}?" if nearest else f"The keys are {', '.join(sorted(KEYS))}."
        raise ConfigurationError(f"The setting DURABLE has the unknown key {key!r}. {hint}")
    kind = KEYS[str(key)].type
    if kind in ("float", "int"):
        return _checked_number(str(key), value, whole=kind == "int")
    if value is None and "None" in str(kind):
        return None
    if kind == "bool":
        return _checked_switch(str(key), value)
    if kind in CONTAINERS:
        return CONTAINERS[kind](str(key), value)
    if key in ONE_OF:
        return _checked_choice(str(key), value)
    return _checked_text(str(key), value)


def _checked_text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not (value or key in EMPTY_ALLOWED):
        raise ConfigurationError(f"DURABLE[{key!r}] is a {type(value).__name__} or empty. Set a string.")
    if key in VERSIONS and (len(value) > VERSION_LENGTH or not value.isprintable()):
        raise ConfigurationError(f"DURABLE[{key!r}] is no line of at most {VERSION_LENGTH} characters. Set one.")
    if key == "SOURCE_LINK" and not ("{path}" in value and value.startswith(SOURCE_SCHEMES)):
        raise ConfigurationError(
            f"DURABLE[{key!r}] is {value!r:.100}. Set an address with {{path}} in it, such as "
            f"'https://git.example.com/shop/blob/main/{{path}}#L{{line}}'; it begins with {', '.join(SOURCE_SCHEMES)}."
        )
    return value


def _checked_switch(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"DURABLE[{key!r}] is {value!r:.100}. Set True or False.")
    return value


def _checked_choice(key: str, value: Any) -> str:
    if value not in ONE_OF[key]:
        allowed = ", ".join(repr(choice) for choice in ONE_OF[key])
        raise ConfigurationError(f"DURABLE[{key!r}] is {value!r:.100}. Set one of {allowed}.")
    return str(value)


def _checked_number(key: str, value: Any, *, whole: bool) -> int | float:
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    lowest_fits = is_number and (value > 0 or (value == 0 and key in ZERO_ALLOWED))
    if not lowest_fits or value == math.inf:
        wanted = "whole number" if whole else "number of seconds"
        least = "of 0 or more" if key in ZERO_ALLOWED else "above 0"
        raise ConfigurationError(f"DURABLE[{key!r}] is {value!r:.100}. Set a {wanted} {least}.")
    return int(value) if whole else float(value)


def _checked_texts(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) and text for text in value):
        raise ConfigurationError(f"DURABLE[{key!r}] is no list of texts. Set a list of strings, none of them empty.")
    return tuple(value)


def _checked_mapping(key: str, value: Any) -> dict[str, str]:
    """The value is not shown: it may be a secret."""
    texts = [*value, *value.values()] if isinstance(value, dict) else [None]
    if not all(isinstance(text, str) and text for text in texts):
        raise ConfigurationError(f"DURABLE[{key!r}] is no dict of texts. Set a dict from strings to strings.")
    return dict(value)


def _checked_retention(key: str, value: Any) -> dict[str, timedelta]:
    return {status: period for status, period in _checked_periods(key, value).items() if period is not None}


def _checked_own_retention(key: str, value: Any) -> dict[str, dict[str, timedelta | None]]:
    if not isinstance(value, dict) or not all(isinstance(name, str) and name for name in value):
        raise ConfigurationError(
            f"DURABLE[{key!r}] is no dict by names of orchestrators. Set a dict from each to a dict like RETENTION."
        )
    return {name: _checked_periods(f"{key}[{name}]", periods, may_be_none=True) for name, periods in value.items()}


def _checked_periods(key: str, value: Any, *, may_be_none: bool = False) -> dict[str, timedelta | None]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"DURABLE[{key!r}] is a {type(value).__name__}. Set a dict from statuses to days.")
    periods: dict[str, timedelta | None] = {}
    for status, period in value.items():
        if status not in ENDS:
            raise ConfigurationError(
                f"DURABLE[{key!r}] names {status!r:.100}, with which no instance ends. Use {', '.join(ENDS)}."
            )
        if isinstance(period, int | float) and not isinstance(period, bool) and 0 < period <= LONGEST_DAYS:
            period = timedelta(days=period)
        if not (period is None and may_be_none) and not (isinstance(period, timedelta) and period > timedelta(0)):
            raise ConfigurationError(
                f"DURABLE[{key!r}][{status!r}] is {period!r:.100}. Set a number of days above 0, or a timedelta."
            )
        periods[str(status)] = period
    return periods


CONTAINERS: dict[Any, Callable[[str, Any], Any]] = {
    "tuple[str, ...]": _checked_texts,
    "Mapping[str, str] | None": _checked_mapping,
    "Mapping[str, timedelta] | None": _checked_retention,
    "Mapping[str, Mapping[str, timedelta | None]] | None": _checked_own_retention,
}
