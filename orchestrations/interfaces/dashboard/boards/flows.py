"""The orchestrators of a task hub, and one of them: code, numbers, errors, and what it calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse

from orchestrations.authoring.registry import registry
from orchestrations.interfaces.dashboard.boards.board import Asked, Board, Context, Kind
from orchestrations.interfaces.dashboard.links import list_url
from orchestrations.interfaces.dashboard.presentation.bars import chart
from orchestrations.interfaces.dashboard.presentation.graph import draw
from orchestrations.interfaces.dashboard.presentation.source_links import project_path, source_link
from orchestrations.limits import ERRORS_SAMPLED, GRAPH_EVENTS, LIVE_SAMPLED, SLOWEST_SAMPLED
from orchestrations.reading import flows, queries, statistics
from orchestrations.reading.statistics import Durations
from orchestrations.search.language import Query, Text
from orchestrations.search.moments import Span


@dataclass(frozen=True, slots=True)
class Row:
    """An orchestrator, or a span of time of one, with its numbers."""

    name: str
    url: str
    started: int
    completed: int
    failed: int
    running: str = ""
    durations: Durations | None = None
    versions: tuple[str, ...] = ()
    has_code: bool = True

    @property
    def success(self) -> float | None:
        """The share of those that completed or failed which completed, in percent; None where there are none."""
        ended = self.completed + self.failed
        return 100 * self.completed / ended if ended else None


def _rows(asked: Asked) -> list[Row]:
    outcomes = statistics.outcomes(asked.hub, asked.window, asked.now)
    took = {one.name: one for one in statistics.durations(asked.hub)}
    live = flows.running(asked.hub)
    names = {*outcomes, *live.counts, *registry.orchestrators(), *queries.orchestrator_names(asked.hub)}
    rows = [
        Row(
            name=name,
            url=reverse("dashboard:flow", args=[asked.hub, name]),
            started=sum(outcomes.get(name, {}).values()),
            completed=outcomes.get(name, {}).get("Completed", 0),
            failed=outcomes.get(name, {}).get("Failed", 0),
            running=f"{live.counts.get(name, 0):,}{'' if live.is_all else '+'}",
            durations=took.get(name),
            versions=tuple(code.version for code in flows.code_of(name) if code.version),
            has_code=registry.has_orchestrator(name),
        )
        for name in sorted(names)
    ]
    return sorted(rows, key=lambda row: (-row.started, row.name))


def _numbers(asked: Asked) -> list[tuple[str, Row]]:
    rows = []
    for window, counts, took in statistics.by_window(asked.hub, asked.flow, asked.now):
        begin, end = window.bounds(asked.now)
        url = list_url(asked.hub, Query(name=Text(asked.flow), created=Span(begin, end)))
        completed, failed = counts.get("Completed", 0), counts.get("Failed", 0)
        rows.append((window.label, Row(asked.flow, url, sum(counts.values()), completed, failed, durations=took)))
    return rows


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A version of the code, with where it is."""

    code: flows.Code
    path: str
    url: str


def _show_code(asked: Asked, code: Sequence[flows.Code]) -> Context:
    rows = [
        CodeRow(one, f"{project_path(one.file) or one.file}:{one.line}", source_link(one.file, one.line))
        for one in code
    ]
    return {"codes": rows}


def _draw(asked: Asked, histogram: statistics.Histogram) -> Context:
    def link(begin: datetime, end: datetime) -> str:
        return list_url(asked.hub, Query(name=Text(asked.flow), created=Span(begin, end)))

    return {"histogram": histogram, "chart": chart(histogram, link), "windows": FLOW.windows(asked)}


def _show_errors(asked: Asked, facts: tuple[Sequence[flows.ErrorKind], int]) -> Context:
    kinds, looked_at = facts
    rows = [
        (kind, list_url(asked.hub, Query(fingerprint=kind.fingerprint)) if kind.fingerprint else "") for kind in kinds
    ]
    return {"errors": rows, "looked_at": looked_at, "is_all": looked_at < ERRORS_SAMPLED}


def _show_graph(asked: Asked, graph: flows.CallGraph) -> Context:
    links = {
        edge.name: reverse("dashboard:flow", args=[asked.hub, edge.name])
        for edge in graph.edges
        if edge.kind == "orchestrator"
    }
    listed = [(edge, links.get(edge.name, "") if edge.kind == "orchestrator" else "") for edge in graph.edges]
    return {"graph": graph, "edges": listed, "drawing": draw(graph), "events": GRAPH_EVENTS}


def _show_rows(asked: Asked, rows: Any) -> Context:
    return {
        "flows": rows,
        "window": asked.window,
        "windows": FLOWS.windows(asked),
        "hours": asked.window.span / timedelta(hours=1),
        "sampled": SLOWEST_SAMPLED,
        "live_sampled": LIVE_SAMPLED,
    }


FLOWS = Board(
    name="flows",
    section="flows",
    template="dashboard/flows/list.html",
    kinds={"flows": Kind("Orchestrators", "dashboard/flows/_list.html", _rows, _show_rows)},
)
FLOW = Board(
    name="flow",
    section="flows",
    template="dashboard/flows/one.html",
    kinds={
        "numbers": Kind("Numbers", "dashboard/flows/_numbers.html", _numbers, lambda asked, rows: {"rows": rows}),
        "histogram": Kind(
            "Started",
            "dashboard/overview/_histogram.html",
            lambda asked: statistics.histogram(asked.hub, asked.window, asked.now, asked.flow),
            _draw,
        ),
        "errors": Kind(
            "Errors", "dashboard/flows/_errors.html", lambda asked: flows.errors(asked.hub, asked.flow), _show_errors
        ),
        "graph": Kind(
            "Calls", "dashboard/flows/_graph.html", lambda asked: flows.call_graph(asked.hub, asked.flow), _show_graph
        ),
        "code": Kind("Code", "dashboard/flows/_code.html", lambda asked: flows.code_of(asked.flow), _show_code),
    },
)
