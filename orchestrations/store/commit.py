"""The group commit: all that many episodes changed, in one transaction and a handful of statements.

The fence comes first. An instance whose row no longer carries what the worker believes is lost, and nothing else of
its checkpoint is written. Lock order: see ``contract``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import models

from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, OpenWait, Timer, WebhookDelivery
from orchestrations.store import counting, dead_letters, entities, human_tasks, large_payloads, rows
from orchestrations.store.contract import Checkpoint, CommitResult
from orchestrations.store.messages import send
from orchestrations.store.starts import start_children
from orchestrations.store.tables import Tables

EXECUTION = ("instance_id", "execution")
TASK = (*EXECUTION, "task_id")


def commit(tables: Tables, token: int, checkpoints: Sequence[Checkpoint]) -> CommitResult:
    """Write the checkpoints whose instances ``token`` still holds; statements with nothing to write are skipped."""
    if not checkpoints:
        return CommitResult()
    with tables.batch():
        fenced = tables.fence(token, sorted(checkpoints, key=lambda checkpoint: checkpoint.pk))
        now = fenced.now
        kept = [checkpoint for checkpoint in checkpoints if checkpoint.pk in fenced.held]
        having_files = [checkpoint for checkpoint in kept if checkpoint.pk in fenced.have_files]
        large_payloads.forget_consumed(tables, [row for checkpoint in having_files for row in checkpoint.consumed])
        _take_messages(tables, kept)
        _append_history(tables, kept)
        _end_work(tables, [checkpoint for checkpoint in kept if checkpoint.ends_execution])
        _replace_work(tables, kept, token, now)
        human_tasks.write(tables, kept, now)
        counting.take_back(tables, kept, now)
        if changed := [checkpoint for checkpoint in kept if checkpoint.entity is not None]:
            entities.write(tables, changed, now)
        refused = start_children(tables, [child for checkpoint in kept for child in checkpoint.children], now)
        send(tables, [message for checkpoint in kept for message in checkpoint.messages] + refused)
        deliveries = [rows.delivery_row(tables.hub, delivery) for c in kept for delivery in c.deliveries]
        _insert(tables, WebhookDelivery, rows.DELIVERY_COLUMNS, deliveries)
        dead_letters.record(tables, [dead for c in kept for dead in c.dead_letters])
        large_payloads.record_checkpoints(tables, kept)
        large_payloads.forget_unused(tables, [c.pk for c in having_files if c.forgets_history or c.entity is not None])
    return CommitResult(lost={checkpoint.pk for checkpoint in checkpoints} - fenced.held)


def _take_messages(tables: Tables, kept: Sequence[Checkpoint]) -> None:
    _delete(tables, InboxMessage, ("id",), [(pk,) for checkpoint in kept for pk in checkpoint.consumed])


def _append_history(tables: Tables, kept: Sequence[Checkpoint]) -> None:
    forgotten = [(checkpoint.pk, checkpoint.execution) for checkpoint in kept if checkpoint.forgets_history]
    _delete(tables, HistoryEvent, EXECUTION, forgotten)
    _delete(tables, Timer, EXECUTION, forgotten)
    history_row = rows.history_row
    appended = [
        history_row(checkpoint.pk, checkpoint.new_execution, event)
        for checkpoint in kept
        for event in checkpoint.history
    ]
    _insert(tables, HistoryEvent, rows.HISTORY_COLUMNS, appended)


def _end_work(tables: Tables, ended: Sequence[Checkpoint]) -> None:
    """Drop what is left of executions that end: their results could not be used any more."""
    executions = [(checkpoint.pk, checkpoint.execution) for checkpoint in ended]
    if executions:
        useless = [(checkpoint.pk, checkpoint.execution) for checkpoint in ended if not checkpoint.keeps_activities]
        _delete(tables, ActivityWorkItem, EXECUTION, useless)
        tables.delete(OpenWait, EXECUTION, executions)
        tables.cancel_timers(EXECUTION, executions)


def _replace_work(tables: Tables, kept: Sequence[Checkpoint], token: int, now: datetime) -> None:
    """Delete before inserting: a retried activity has the key of the attempt that ended."""
    hub = tables.hub
    ended = [(c.pk, c.execution, task_id) for c in kept for task_id in c.ended_activities]
    cancelled = [(c.pk, c.execution, task_id, attempt) for c in kept for task_id, attempt in c.cancelled_timers]
    closed = [(c.pk, c.execution, wait_id) for c in kept for wait_id in c.closed_waits]
    _delete(tables, ActivityWorkItem, TASK, ended)
    _delete(tables, OpenWait, (*EXECUTION, "wait_id"), closed)
    if cancelled:
        tables.cancel_timers((*TASK, "attempt"), cancelled)
    scheduled = [rows.activity_row(hub, c, item, token, now) for c in kept for item in c.work_items]
    _insert(tables, ActivityWorkItem, rows.ACTIVITY_COLUMNS, scheduled)
    _insert(tables, Timer, rows.TIMER_COLUMNS, [rows.timer_row(hub, c, timer) for c in kept for timer in c.timers])
    opened = [rows.wait_row(hub, c, wait) for c in kept for wait in c.opened_waits]
    _insert(tables, OpenWait, rows.WAIT_COLUMNS, opened)


def _insert(tables: Tables, model: type[models.Model], columns: Sequence[str], new: list[rows.Row]) -> None:
    if new:
        tables.insert(model, columns, new)


def _delete(tables: Tables, model: type[models.Model], columns: Sequence[str], keys: Iterable[rows.Row]) -> None:
    if listed := list(keys):
        tables.delete(model, columns, listed)
