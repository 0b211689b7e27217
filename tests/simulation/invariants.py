"""What must hold in the tables between any two steps, whatever the steps are."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime

from orchestrations.core.events import EventType
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.models import Entity, InboxMessage
from tests.simulation import histories, programs
from tests.simulation.snapshot import Row, Snapshot, attributes_of

FORESEEN = ("is broken", "was terminated", "No external event")

Accepted = dict[tuple[int, datetime], Counter[str]]
"""How many external events of each name were accepted, by an instance's primary key and time of creation.

They are numbered from 1.
"""


def check(tables: Snapshot, accepted: Accepted, forks: int) -> None:
    """Raise AssertionError where something does not hold, after so many forks of instances."""
    for (pk, execution), events in tables.histories.items():
        if execution > 1 and events[0].type == EventType.EVENT_RAISED:
            programs.ledger.seen.add("continued with buffered events")
        histories.check(f"instance {pk}, execution {execution}", events)
    histories.check_rewinds(tables)
    for row in tables.instances.values():
        events = tables.history(row)
        _check_row(row, events)
        _check_waits(row, tables.waits[row.pk])
        counts = accepted.get((row.pk, row.created_at), Counter())
        if row.status not in TERMINAL or row.status == RuntimeStatus.FAILED:
            _check_external_events(row, [*events, *tables.inbox[row.pk]], counts)
    _check_work(tables)
    _check_entries(tables.entries, forks)


def check_idle() -> None:
    """Raise AssertionError where something is left in motion although everything has come to its end."""
    locked = list(Entity.objects.exclude(locked_by="").values_list("instance__instance_id", "locked_by"))
    assert not locked, f"locks that nobody releases: {locked}"
    waiting = InboxMessage.objects.filter(instance__is_entity=True)
    assert not waiting.exists(), f"operations that are never begun: {list(waiting)}"


def _check_row(row: Row, events: list[Row]) -> None:
    where = f"{row.instance_id}, {row.status}"
    assert row.last_sequence == len(events), f"the row and its history differ: {where}"
    end = next((event for event in events if event.type == EventType.EXECUTION_COMPLETED), None)
    if row.status in TERMINAL:
        assert end is not None and attributes_of(end)["status"] == row.status, f"not at its end: {where}"
        assert row.completed_at is not None, where
    else:
        assert end is None and row.completed_at is None and row.failure is None, f"at its end: {where}"
    if row.status in (RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED):
        is_suspended = row.status == RuntimeStatus.SUSPENDED
        assert histories.is_paused(events) == is_suspended, f"the row and its history differ: {where}"
    if row.status == RuntimeStatus.FAILED:
        assert any(words in row.failure for words in FORESEEN), f"{where}: {row.failure}"


def _check_waits(row: Row, recorded: set[int]) -> None:
    """What it is said to wait for can be answered, beside what else it has asked for."""
    told = {wait["task_id"] for wait in json.loads(row.waits or "[]") if wait["kind"] == "ExternalEvent"}
    assert told <= recorded, f"{row.instance_id}, {row.status}: said to wait for {told}, recorded are {recorded}"


def _check_external_events(row: Row, kept: Iterable[Row], accepted: Counter[str]) -> None:
    """Each accepted event is there once and in order, but for those that an earlier generation has taken."""
    has_gone_on = bool(json.loads(row.input or "{}")["results"])  # as new
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in kept:
        if event.type == EventType.EVENT_RAISED:
            numbers[(event.name or "").casefold()].append(json.loads(event.payload or "0"))
    for name in [name for name in numbers if name.startswith(programs.WORD)]:
        times = len(numbers.pop(name))  # what an origin was told, its fork may be told again
        assert times == 1 or row.forked_from is not None, f"{row.instance_id}: {name} was sent once"
    for name, count in accepted.items():
        found = numbers.pop(name, [])
        first = found[0] if found and has_gone_on else count + 1 if has_gone_on else 1
        assert found == list(range(first, count + 1)), f"{row.instance_id}: {name} {found}, accepted {count}"
    assert not numbers, f"{row.instance_id}: events that nobody raised: {dict(numbers)}"


def _check_work(tables: Snapshot) -> None:
    """Nothing is left in motion for an execution that is over, but what a normal completion leaves running."""
    for work in tables.work:
        row = tables.instances[work.instance_id]
        is_current = work.execution == row.execution and row.status not in TERMINAL
        assert is_current or row.status == RuntimeStatus.COMPLETED, f"left over for {row.instance_id}: {work}"


def _check_entries(entries: list[str], forks: int) -> None:
    """Told once, but for what was open where an instance was forked; and what raises leaves nothing behind."""
    twice = [entry for entry, times in Counter(entries).items() if times > 1 + forks]
    assert not twice, f"an entity was told twice: {twice}"
    kept = [entry for entry in entries if entry.startswith(programs.NEVER)]
    assert not kept, f"operations that raised changed the state: {kept}"
