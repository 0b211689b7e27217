"""The overview of a task hub: what needs attention, how many instances, when they were started, what takes long."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.boards.attention import concerns
from orchestrations.interfaces.dashboard.boards.board import Asked, Board, Context, Kind
from orchestrations.interfaces.dashboard.links import list_url
from orchestrations.interfaces.dashboard.presentation.bars import chart
from orchestrations.interfaces.dashboard.presentation.statuses import BADGES, WAITING_FOR_HUMAN, Badge
from orchestrations.limits import SLOWEST_SAMPLED
from orchestrations.reading import counts, hub_state, statistics
from orchestrations.reading.paging import CappedCount
from orchestrations.search.language import Mark, Query
from orchestrations.search.moments import Span

FLOWS_SHOWN = 5


def _counts(asked: Asked) -> list[tuple[Badge, CappedCount, str]]:
    """Each status that occurs, and the questions to people behind those that run."""
    chips = []
    for status, count in counts.status_counts(asked.hub).items():
        if not count.value:
            continue
        chips.append((BADGES[status], count, list_url(asked.hub, Query(statuses=(status,)))))
        if status is RuntimeStatus.RUNNING:
            open_questions = hub_state.questions(asked.hub)
            chips.append(
                (WAITING_FOR_HUMAN, open_questions, list_url(asked.hub, Query(marks=(Mark.WAITING_FOR_HUMAN,))))
            )
    return chips


def _draw(asked: Asked, histogram: statistics.Histogram) -> Context:
    def link(begin: datetime, end: datetime) -> str:
        return list_url(asked.hub, Query(created=Span(begin, end)))

    return {"histogram": histogram, "chart": chart(histogram, link), "windows": OVERVIEW.windows(asked)}


def _slowest(asked: Asked) -> list[statistics.Durations]:
    return statistics.durations(asked.hub)[:FLOWS_SHOWN]


def _show(name: str) -> Any:
    return lambda asked, facts: {name: facts}


OVERVIEW = Board(
    name="overview",
    section="overview",
    template="dashboard/overview/page.html",
    kinds={
        "attention": Kind(
            "Needs attention",
            "dashboard/overview/_attention.html",
            lambda asked: concerns(asked.hub, asked.now),
            _show("concerns"),
        ),
        "counts": Kind("Instances by status", "dashboard/overview/_counts.html", _counts, _show("chips")),
        "histogram": Kind(
            "Started",
            "dashboard/overview/_histogram.html",
            lambda asked: statistics.histogram(asked.hub, asked.window, asked.now),
            _draw,
        ),
        "slowest": Kind(
            "Slowest orchestrators",
            "dashboard/overview/_slowest.html",
            _slowest,
            lambda asked, facts: {"flows": facts, "sampled": SLOWEST_SAMPLED},
        ),
        "backlog": Kind(
            "Backlog",
            "dashboard/overview/_backlog.html",
            lambda asked: hub_state.backlogs(asked.hub, asked.now),
            _show("backlogs"),
        ),
    },
)
