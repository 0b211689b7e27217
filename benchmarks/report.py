"""Medians of what was measured, as a text table and as JSON."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Any

from benchmarks import databases, floor, ours
from benchmarks.contenders import Settings
from benchmarks.peers import dbos
from benchmarks.workloads import Row

COLUMNS = {
    ours.NAME: "ours",
    dbos.NAME: "DBOS",
    dbos.REMOTE_NAME: "DBOS remote",
    floor.NAME: "floor",
}
RATIOS = {"x DBOS": dbos.NAME, "x remote": dbos.REMOTE_NAME, "x floor": floor.NAME}
"""Title of the column, and whom we are compared with: above 1 we are better, whatever the unit."""

NOTHING = "-"
TITLE_WIDTH = 52
COLUMN_WIDTH = 12
LARGE, SMALL = 100, 10
"""Figures from LARGE on are shown without decimals, those below SMALL with two."""


@dataclass(slots=True)
class Results:
    """The figures of all repetitions on one database: ``figures[row key][contender]``, one number a repetition."""

    settings: Settings
    repeat: int
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, contender: str, figures: dict[str, float]) -> None:
        """Take the figures of one repetition of one workload."""
        for key, value in figures.items():
            self.figures.setdefault(key, {}).setdefault(contender, []).append(value)

    def median(self, row: Row, contender: str) -> float | None:
        """The contender's median, or None where it has no figure."""
        values = self.figures.get(row.key, {}).get(contender)
        return statistics.median(values) if values else None

    def ratio(self, row: Row, other: str) -> float | None:
        """How many times as good as the other we are, or None where one of the two has no figure."""
        mine, theirs = self.median(row, ours.NAME), self.median(row, other)
        if not mine or not theirs:
            return None
        return mine / theirs if row.higher_is_better else theirs / mine


def table(results: Results, rows: Iterable[Row]) -> str:
    """The report as text: a line for each row, then what failed."""
    titles = [*COLUMNS.values(), *RATIOS]
    lines = [_heading(results), _line("", "", titles)]
    for row in rows:
        figures = [_figure(results.median(row, name)) for name in COLUMNS]
        ratios = [_figure(results.ratio(row, name)) for name in RATIOS.values()]
        lines.append(_line(row.title, row.unit, [*figures, *ratios]))
    lines += [f"failed: {_short(failure)}" for failure in results.failures]
    return "\n".join(lines)


def _short(failure: str) -> str:
    """The first and the last line; the JSON has all of it."""
    lines = failure.splitlines()
    return lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}"


def _heading(results: Results) -> str:
    facts = _facts(results)
    return (
        f"{facts['database']} {facts['database_version']}, {facts['workers']} workers, {facts['cores']} cores, "
        f"Python {facts['python']}, DBOS {facts['dbos']}, median of {results.repeat}"
    )


def _line(title: str, unit: str, cells: Sequence[str]) -> str:
    return f"{title:<{TITLE_WIDTH}}{unit:<7}" + "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)


def _figure(value: float | None) -> str:
    if value is None:
        return NOTHING
    decimals = 0 if value >= LARGE else 1 if value >= SMALL else 2
    return f"{value:,.{decimals}f}"


def _facts(results: Results) -> dict[str, Any]:
    settings = results.settings
    return {
        "database": settings.database,
        "database_version": databases.server_version(settings.database, settings.server),
        "workers": settings.workers,
        "cores": cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "dbos": dbos.VERSION,
    }


def save(results: Results, rows: Iterable[Row], folder: Path) -> Path:
    """Write ``<date>-<database>.json`` and return its path; a second run of a day replaces the first."""
    now = datetime.now(UTC)
    document = {
        "at": now.isoformat(timespec="seconds"),
        **_facts(results),
        "repeat": results.repeat,
        "sizes": asdict(results.settings.sizes),
        "rows": [
            {
                "workload": row.workload,
                "key": row.key,
                "title": row.title,
                "unit": row.unit,
                "higher_is_better": row.higher_is_better,
                "median": {name: results.median(row, name) for name in COLUMNS},
                "runs": results.figures.get(row.key, {}),
                "ratio": {name: results.ratio(row, name) for name in RATIOS.values()},
            }
            for row in rows
        ],
        "failures": results.failures,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%d}-{results.settings.database}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path
