"""What is known of orchestrators: their code in this process, how their instances fare, and what they call.

Numbers come from bounded samples of what happened last; each says how much was looked at.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from orchestrations.authoring.conversions import type_name
from orchestrations.authoring.orchestrators import RegisteredOrchestrator
from orchestrations.authoring.registry import registry
from orchestrations.authoring.signatures import EMPTY
from orchestrations.conf import get_config
from orchestrations.core.events import EventType
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.limits import ERRORS_SAMPLED, GRAPH_EVENTS, GRAPH_INSTANCES, GRAPH_ORCHESTRATORS, LIVE_SAMPLED
from orchestrations.models import HistoryEvent, Instance
from orchestrations.models.instances import ORCHESTRATION

LIVE = tuple(status.value for status in RuntimeStatus if status not in TERMINAL)
KINDS = {
    EventType.TASK_SCHEDULED.value: "activity",
    EventType.SUB_ORCHESTRATION_CREATED.value: "orchestrator",
    EventType.ENTITY_CALLED.value: "entity operation",
    EventType.ENTITY_SIGNALED.value: "entity operation",
}
FAILURES = {
    EventType.TASK_FAILED.value,
    EventType.SUB_ORCHESTRATION_FAILED.value,
    EventType.ENTITY_FAILED.value,
}


# Code -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Code:
    """One version of an orchestrator's code in this process."""

    version: str
    place: str
    file: str
    line: int
    docstring: str
    takes: str
    returns: str
    schema: str
    """Of the input, as JSON Schema; empty where it takes none, or any JSON value."""


def code_of(name: str) -> list[Code]:
    """The versions that this process has, the newest first; none where it has no such orchestrator."""
    if not registry.has_orchestrator(name):
        return []
    return [_described(definition) for definition in reversed(registry.versions_of(name))]


def _described(definition: RegisteredOrchestrator) -> Code:
    function = inspect.unwrap(definition.function)
    code = getattr(function, "__code__", None)
    parameter = definition.conversion.parameter
    signature = inspect.signature(function)
    return Code(
        version=definition.version or get_config().version,
        place=f"{function.__module__}.{getattr(function, '__qualname__', definition.name)}",
        file=code.co_filename if code else "",
        line=code.co_firstlineno if code else 0,
        docstring=inspect.getdoc(function) or "",
        takes="" if parameter is None else _annotation(parameter.annotation),
        returns=_annotation(signature.return_annotation),
        schema=_schema(function, "" if parameter is None else parameter.name),
    )


def _schema(function: Callable[..., Any], parameter: str) -> str:
    try:
        annotation = typing.get_type_hints(function).get(parameter, Any)
        described = msgspec.json.schema(annotation) if annotation is not Any else {}
    except Exception:  # an annotation is whatever its author wrote, and some types have no schema
        return ""
    return json.dumps(described, indent=2) if described else ""


def _annotation(annotation: object) -> str:
    if annotation is EMPTY:
        return "any JSON value"
    return annotation if isinstance(annotation, str) else type_name(annotation)


# Numbers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Running:
    """How many instances of each orchestrator are live, among ``looked_at`` of them; ``is_all`` where that is all."""

    counts: dict[str, int]
    looked_at: int
    is_all: bool


def running(hub: str) -> Running:
    """The live instances by orchestrator, of LIVE_SAMPLED at most."""
    rows = Instance.objects.using(get_config().database).filter(ORCHESTRATION, hub=hub, status__in=LIVE)
    names = list(rows.values_list("name", flat=True)[: LIVE_SAMPLED + 1])
    return Running(dict(Counter(names[:LIVE_SAMPLED])), min(len(names), LIVE_SAMPLED), len(names) <= LIVE_SAMPLED)


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """Failures of one kind: how many of those that were looked at, what the latest says, and when it was."""

    fingerprint: str
    count: int
    latest: str
    instance_id: str
    at: datetime


def errors(hub: str, name: str) -> tuple[list[ErrorKind], int]:
    """The kinds of failure of an orchestrator, the most frequent first, and how many failures were looked at."""
    rows = Instance.objects.using(get_config().database).filter(
        ORCHESTRATION, hub=hub, name=name, status=RuntimeStatus.FAILED
    )
    columns = rows.order_by("-created_at", "-pk").values_list(
        "error_fingerprint", "error", "instance_id", "completed_at", "created_at"
    )
    alike = defaultdict(list)
    found = list(columns[:ERRORS_SAMPLED])
    for fingerprint, error, instance_id, completed_at, created_at in found:
        alike[fingerprint or error].append((fingerprint, error, instance_id, completed_at or created_at))
    kinds = [ErrorKind(rows[0][0], len(rows), rows[0][1], rows[0][2], rows[0][3]) for rows in alike.values()]
    return sorted(kinds, key=lambda kind: (-kind.count, kind.latest)), len(found)


# Calls ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls from an orchestrator to a function, as histories tell of them."""

    caller: str
    kind: str
    name: str
    calls: int
    failures: int

    @property
    def failure_rate(self) -> float:
        """The share of the calls that failed, of 1."""
        return self.failures / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class CallGraph:
    """What an orchestrator calls, and what the orchestrators call that it calls."""

    root: str
    edges: Sequence[Edge]
    instances: int
    """That were looked at."""


def call_graph(hub: str, root: str) -> CallGraph:
    """Edges seen in the first GRAPH_EVENTS events of the GRAPH_INSTANCES newest instances of each orchestrator.

    Of GRAPH_ORCHESTRATORS at most, those first that are nearest to the root. Two queries for each.
    """
    edges: list[Edge] = []
    waiting, seen, looked_at = [root], {root}, 0
    while waiting:
        caller = waiting.pop(0)
        found, instances = _calls_of(hub, caller)
        looked_at += instances
        edges += found
        for edge in found:
            if edge.kind == "orchestrator" and edge.name not in seen and len(seen) < GRAPH_ORCHESTRATORS:
                seen.add(edge.name)
                waiting.append(edge.name)
    return CallGraph(root, edges, looked_at)


def _calls_of(hub: str, caller: str) -> tuple[list[Edge], int]:
    using = get_config().database
    newest = Instance.objects.using(using).filter(ORCHESTRATION, hub=hub, name=caller).order_by("-created_at", "-pk")
    executions = dict(newest.values_list("pk", "execution")[:GRAPH_INSTANCES])
    events = HistoryEvent.objects.using(using).filter(
        instance_id__in=executions, sequence__lte=GRAPH_EVENTS, type__in=[*KINDS, *FAILURES]
    )
    columns = ("instance_id", "execution", "type", "task_id", "name", "attempt")
    rows = [row for row in events.values_list(*columns) if row[1] == executions[row[0]]]
    return _edges(caller, rows), len(executions)


def _edges(caller: str, rows: Iterable[tuple[int, int, str, int | None, str | None, int]]) -> list[Edge]:
    """Each call of a task is one, whatever its attempts; it failed where its last attempt that ended did."""
    called: dict[tuple[int, int | None], tuple[str, str]] = {}
    failed: set[tuple[int, int | None]] = set()
    signals: Counter[tuple[str, str]] = Counter()
    for pk, _, kind, task_id, name, _ in rows:
        if kind == EventType.ENTITY_SIGNALED:
            signals[KINDS[kind], name or "unknown"] += 1
        elif kind in KINDS:
            called[pk, task_id] = (KINDS[kind], name or "unknown")
        else:
            failed.add((pk, task_id))
    calls = Counter(called.values()) + signals
    failures = Counter(callee for task, callee in called.items() if task in failed)
    return [
        Edge(caller, kind, name, count, failures[kind, name])
        for (kind, name), count in sorted(calls.items(), key=lambda item: (-item[1], item[0]))
    ]
