"""System checks: settings and functions that can't work together, each with a stable id, its cause and the way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections
from django.utils.module_loading import import_string

from orchestrations.authoring.determinism.lint import lint
from orchestrations.authoring.registry import registry
from orchestrations.authoring.version_order import version_key
from orchestrations.conf import DurableConfig, get_config
from orchestrations.durable_http.addresses import read_allow_list
from orchestrations.errors import ConfigurationError
from orchestrations.limits import HUB_LENGTH

BROKER = "orchestrations.worker.broker.TaskHubBroker"
HUB_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{HUB_LENGTH - 1}}}")
HEARTBEATS_PER_LEASE = 3  # a worker may miss two of them and keep its lease
WAL = re.compile(r"journal_mode\s*(=|\()\s*['\"]?wal\b", re.IGNORECASE)
RETRY_DEFAULT_SECONDS = 60  # django-q2's own


def register_all() -> None:
    """Let Django run the checks of this module. Registering twice has no effect."""
    every = (check_settings, check_database, check_cluster, check_functions, check_http, check_determinism)
    for check in every:
        register(check, "durable")


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E001 to E003, W001, W002: the dict DURABLE can be read, and its values fit together."""
    try:
        config = get_config()
    except ConfigurationError as error:
        return [Error(str(error), hint="See orchestrations.conf.DurableConfig for all keys.", id="orchestrations.E001")]
    return list(_settings_problems(config))


def check_database(**kwargs: Any) -> list[CheckMessage]:
    """E004 to E007: the hub's database exists, keeps aware times, and takes concurrent writers."""
    try:
        alias = get_config().database
    except ConfigurationError:
        return []  # E001 says it
    problems: list[CheckMessage] = []
    if not settings.USE_TZ:
        problems.append(
            Error("USE_TZ is off, and all instants are aware.", hint="Set USE_TZ = True.", id="orchestrations.E005")
        )
    if alias not in connections:
        known = ", ".join(sorted(connections))
        message = f"DURABLE['DATABASE'] is {alias!r}, which is no database."
        return [*problems, Error(message, hint=f"Name one of DATABASES: {known}.", id="orchestrations.E004")]
    if connections[alias].vendor == "sqlite":
        problems.extend(_sqlite_problems(alias))
    return problems


def check_cluster(**kwargs: Any) -> list[CheckMessage]:
    """E008 to E011: django-q2 is installed, uses the task hub as its broker, and gives drains the time they need."""
    if "django_q" not in settings.INSTALLED_APPS:
        hint = 'Add "django_q" to INSTALLED_APPS.'
        message = "django-q2, whose cluster runs the workers, is not installed."
        return [Error(message, hint=hint, id="orchestrations.E008")]
    cluster = getattr(settings, "Q_CLUSTER", None) or {}
    problems: list[CheckMessage] = []
    if not _is_our_broker(cluster.get("broker_class")):
        problems.append(
            Error(
                "The cluster's broker is not the task hub, so its workers would never advance an instance.",
                hint=f'Set Q_CLUSTER["broker_class"] = "{BROKER}".',
                id="orchestrations.E009",
            )
        )
    problems.extend(_cluster_time_problems(cluster))
    return problems


def check_functions(**kwargs: Any) -> list[CheckMessage]:
    """E012: every registered function's annotations exist and have a JSON form."""
    problems: list[CheckMessage] = []
    orchestrators = [definition.conversion for definition in registry.all_orchestrators()]
    activities = [definition.conversion for definition in registry.activities().values()]
    for conversion in orchestrators + activities:
        try:
            conversion.compile()
        except ConfigurationError as error:
            hint = "Annotate with types that JSON can be decoded to, or with Any."
            problems.append(Error(str(error), hint=hint, id="orchestrations.E012"))
    return problems


def check_http(**kwargs: Any) -> list[CheckMessage]:
    """E020 and E021: what ``call_http`` may reach can be read, and its token sources exist."""
    try:
        config = get_config()
    except ConfigurationError:
        return []  # E001 says it
    problems: list[CheckMessage] = []
    try:
        read_allow_list(config.http_allowed)
    except ConfigurationError as error:
        problems.append(Error(str(error), hint="Mend or remove the entry.", id="orchestrations.E020"))
    for kind, path in (config.http_token_sources or {}).items():
        try:
            is_callable = callable(import_string(path))
        except ImportError:
            is_callable = False
        if not is_callable:
            message = f'DURABLE["HTTP_TOKEN_SOURCES"] names {path!r} for {kind!r}, which is no function that exists.'
            hint = (
                "Name a function of the resource that returns a token, or a class with get_token, by its dotted path."
            )
            problems.append(Error(message, hint=hint, id="orchestrations.E021"))
    return problems


def check_determinism(**kwargs: Any) -> list[CheckMessage]:
    """W003: no orchestrator does what could come out differently on replay, as far as reading its code can tell."""
    findings = sorted({finding for definition in registry.all_orchestrators() for finding in lint(definition.function)})
    hint = "A line that is meant so says `# durable: ignore[{}]`; `manage.py durable lint` lists them all."
    return [Warning(str(found), hint=hint.format(found.code), id="orchestrations.W003") for found in findings]


def _settings_problems(config: DurableConfig) -> Iterator[CheckMessage]:
    if not HUB_NAME.fullmatch(config.task_hub):
        yield Error(
            f"DURABLE['TASK_HUB'] is {config.task_hub!r:.100}, which is no hub name.",
            hint=f"Use 1 to {HUB_LENGTH} letters, digits, - and _, with a letter or digit in front.",
            id="orchestrations.E002",
        )
    if config.lease_seconds <= HEARTBEATS_PER_LEASE * config.heartbeat_seconds:
        yield Error(
            f"A lease of {config.lease_seconds:g} s with a heartbeat every {config.heartbeat_seconds:g} s runs out "
            "under workers that are merely slow.",
            hint=f"Make DURABLE['LEASE_SECONDS'] more than {HEARTBEATS_PER_LEASE} times DURABLE['HEARTBEAT_SECONDS'].",
            id="orchestrations.E003",
        )
    if config.version_match != "none" and version_key(config.default_version or "") > version_key(config.version):
        yield Warning(
            f"New instances get version {config.default_version!r}, and the code of this site has {config.version!r}, "
            "so that they wait for a worker with newer code.",
            hint="Set DURABLE['VERSION'] to the version of the code, and DURABLE['DEFAULT_VERSION'] to none newer.",
            id="orchestrations.W002",
        )
    if config.sweep_seconds > config.lease_seconds:
        yield Warning(
            f"Expired leases are looked for every {config.sweep_seconds:g} s only, so a crash is noticed late.",
            hint="Make DURABLE['SWEEP_SECONDS'] shorter than DURABLE['LEASE_SECONDS'].",
            id="orchestrations.W001",
        )


def _sqlite_problems(alias: str) -> Iterator[CheckMessage]:
    options = connections[alias].settings_dict.get("OPTIONS") or {}
    if str(options.get("transaction_mode") or "").upper() != "IMMEDIATE":
        yield Error(
            f"SQLite database {alias!r} begins transactions without the write lock, so that commits fail at once when "
            "another process writes.",
            hint=f'Set DATABASES["{alias}"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE".',
            id="orchestrations.E006",
        )
    if not WAL.search(str(options.get("init_command") or "")):
        yield Error(
            f"SQLite database {alias!r} is not in WAL mode, so that readers and workers block each other.",
            hint=f'Set DATABASES["{alias}"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL;".',
            id="orchestrations.E007",
        )


def _cluster_time_problems(cluster: dict[str, Any]) -> Iterator[CheckMessage]:
    timeout = cluster.get("timeout")
    if timeout is None:
        return
    retry = cluster.get("retry", RETRY_DEFAULT_SECONDS)
    if retry <= timeout:
        yield Error(
            f"The cluster retries a task after {retry} s and stops it only after {timeout} s, so tasks run twice.",
            hint='Make Q_CLUSTER["retry"] longer than Q_CLUSTER["timeout"].',
            id="orchestrations.E010",
        )
    try:
        config = get_config()
    except ConfigurationError:
        return  # E001 says it
    needed = config.drain_seconds + config.episode_timeout_seconds + config.stop_seconds
    if timeout <= needed:
        yield Error(
            f"The cluster kills a worker after {timeout} s, and a healthy drain may take {needed:g} s.",
            hint='Make Q_CLUSTER["timeout"] longer than DRAIN_SECONDS + EPISODE_TIMEOUT_SECONDS + STOP_SECONDS.',
            id="orchestrations.E011",
        )


def _is_our_broker(path: Any) -> bool:
    if path == BROKER:
        return True
    try:
        broker = import_string(path)
    except (ImportError, TypeError, AttributeError):
        return False
    bases: Callable[[], list[type]] = getattr(broker, "mro", list)
    return any(f"{base.__module__}.{base.__qualname__}" == BROKER for base in bases())
