"""The workers of a task hub: who lives, what each holds and has the code of, and what waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestrations.interfaces.dashboard.boards.board import Asked, Board, Kind
from orchestrations.reading import hub_state, queries
from orchestrations.reading.hub_state import WorkerCode

START = "python manage.py qcluster"
REMEMBERED = timedelta(days=1)  # of workers that were lost


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process, as its lease tells of it."""

    name: str
    is_live: bool
    started_at: datetime
    heartbeat_at: datetime
    expires_at: datetime
    in_flight: int
    capacity: int
    instances: int
    code: WorkerCode
    build: str


@dataclass(frozen=True, slots=True)
class LostRow:
    """A worker process that others have found dead."""

    name: str
    started_at: datetime
    heartbeat_at: datetime
    in_flight: int


def _workers(asked: Asked) -> tuple[list[WorkerRow], list[LostRow]]:
    leases = queries.workers(asked.hub)
    held = hub_state.held_by([lease.token for lease in leases]) if leases else {}
    rows = [
        WorkerRow(
            name=lease.worker,
            is_live=lease.expires_at > asked.now,
            started_at=lease.started_at,
            heartbeat_at=lease.heartbeat_at,
            expires_at=lease.expires_at,
            in_flight=lease.in_flight,
            capacity=lease.capacity,
            instances=held.get(lease.token, 0),
            code=WorkerCode.of(lease),
            build=lease.build,
        )
        for lease in leases
    ]
    lost = hub_state.lost_workers(asked.hub, asked.now - REMEMBERED)
    return (
        sorted(rows, key=lambda row: (not row.is_live, row.name)),
        [LostRow(one.worker, one.started_at, one.heartbeat_at, one.in_flight) for one in lost],
    )


def _show_workers(asked: Asked, facts: tuple[Sequence[WorkerRow], Sequence[LostRow]]) -> dict[str, Any]:
    rows, lost = facts
    live = [row for row in rows if row.is_live]
    return {
        "workers": rows,
        "lost": lost,
        "has_live": bool(live),
        "in_flight": sum(row.in_flight for row in live),
        "capacity": sum(row.capacity for row in live),
        "command": START,
    }


def _unserved(asked: Asked) -> list[hub_state.Unserved]:
    live = [lease for lease in queries.workers(asked.hub) if lease.expires_at > asked.now]
    return hub_state.unserved(asked.hub, asked.now, live)


WORKERS = Board(
    name="workers",
    section="workers",
    template="dashboard/workers/page.html",
    kinds={
        "workers": Kind("Workers", "dashboard/workers/_workers.html", _workers, _show_workers),
        "backlog": Kind(
            "Queues",
            "dashboard/workers/_queues.html",
            lambda asked: (hub_state.backlogs(asked.hub, asked.now), _unserved(asked)),
            lambda asked, facts: {"backlogs": facts[0], "unserved": facts[1]},
        ),
    },
)
