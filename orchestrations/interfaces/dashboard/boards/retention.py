"""Retention: the rules, what they will delete and when, and what the chores of the hub have done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.boards.board import Asked, Board, Context, Kind
from orchestrations.interfaces.dashboard.presentation.statuses import BADGES, Badge
from orchestrations.reading import upkeep_state


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a chore has done in an hour."""

    name: str
    hour: datetime
    runs: int
    done: int
    seconds: float
    trouble: str


def _rules(asked: Asked) -> list[tuple[Badge, upkeep_state.RuleState]]:
    return [(BADGES[RuntimeStatus(rule.status)], rule) for rule in upkeep_state.rules(asked.hub, asked.now)]


def _show_rules(asked: Asked, rules: list[tuple[Badge, upkeep_state.RuleState]]) -> Context:
    return {"rules": rules, "is_served": asked.hub == get_config().task_hub, "now": asked.now}


def _runs(asked: Asked) -> tuple[list[tuple[str, datetime]], list[RunRow]]:
    rows = [
        RunRow(run.name, run.hour, run.runs, run.done, run.seconds, run.trouble) for run in upkeep_state.runs(asked.hub)
    ]
    return upkeep_state.chores(asked.hub), rows


RETENTION = Board(
    name="retention",
    section="retention",
    template="dashboard/retention/page.html",
    kinds={
        "rules": Kind("Rules", "dashboard/retention/_rules.html", _rules, _show_rules),
        "runs": Kind(
            "Chores",
            "dashboard/retention/_runs.html",
            _runs,
            lambda asked, facts: {"chores": facts[0], "runs": facts[1]},
        ),
    },
)
