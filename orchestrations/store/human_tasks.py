"""Questions to people, written with the episode that asks and closed with the one that ends the wait."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Case, F, Q, QuerySet, Value, When

from orchestrations.models import (
    AuditEntry,
    HumanAudience,
    HumanComment,
    HumanFollowUp,
    HumanNotice,
    HumanTask,
    HumanVote,
    Instance,
)
from orchestrations.models.audit import Deed
from orchestrations.models.human import LEFT_OUT, NEVER, OUTCOME_LENGTH, USERNAME_LENGTH
from orchestrations.store.contract import Checkpoint
from orchestrations.store.rows import line
from orchestrations.store.tables import BATCH, Tables, TaskKey, chunks
from orchestrations.store.task_contract import NewTask, SettledTask

BELONGINGS = (HumanAudience, HumanVote, HumanComment, HumanFollowUp, HumanNotice, HumanTask)
"""The tables with rows of an instance that has asked people."""

ENGINE = "engine"
KEYS = 100  # alternatives in one condition; SQLite's parser nests them
COLUMNS = tuple(field.name for field in fields(NewTask) if field.name != "audience")
State = HumanTask.State
CLOSED: dict[str, Any] = {"next_notice_at": None, "row_version": F("row_version") + 1}
DEEDS: dict[str, Deed] = {
    State.ANSWERED: Deed.DELIVERED,
    State.EXPIRED: Deed.EXPIRED,
    State.WITHDRAWN: Deed.WITHDRAWN,
}


def write(tables: Tables, kept: Sequence[Checkpoint], now: datetime) -> None:
    """Ask and close what the checkpoints ask and close; nothing where none of them does either."""
    asked = [(c, task) for c in kept for task in c.asked]
    settled = [((c.pk, c.execution, task.wait_id), task) for c in kept for task in c.settled]
    left = [(c.pk, c.execution) for c in kept if c.withdraws_tasks]
    if asked:
        _ask(tables, asked)
    if settled:
        _settle(tables, settled, now)
    if left:
        _withdraw(tables, left, now)


def _ask(tables: Tables, asked: Sequence[tuple[Checkpoint, NewTask]]) -> None:
    """Insert the tasks; one that is there was withdrawn while nobody looked, and is open again."""
    rows = [_row(tables.hub, checkpoint, task) for checkpoint, task in asked]
    HumanTask.objects.using(tables.using).bulk_create(rows, ignore_conflicts=True)
    for batch in chunks(rows, KEYS):
        given = {(row.instance_id, row.execution, row.wait_id): row for row in batch}
        withdrawn = _tasks(tables, given).filter(state=State.WITHDRAWN)
        for pk, *key in list(withdrawn.values_list("pk", "instance_id", "execution", "wait_id")):
            _open_again(tables, pk, given[key[0], key[1], key[2]])
    HumanAudience.objects.using(tables.using).bulk_create(
        [
            HumanAudience(
                hub=tables.hub,
                instance_id=checkpoint.pk,
                execution=checkpoint.new_execution,
                wait_id=task.wait_id,
                key=key,
            )
            for checkpoint, task in asked
            for key in task.audience
        ],
        ignore_conflicts=True,  # those who were left out of one that is open again
    )
    _audit(tables, [(c.pk, Deed.ASKED, task.name, task.title) for c, task in asked])


def _open_again(tables: Tables, pk: int, row: HumanTask) -> None:
    """With its votes; who is to be reminded, and whether others are asked besides, is looked at anew."""
    has_votes = Q(approvals__gt=0) | Q(rejections__gt=0)
    HumanTask.objects.using(tables.using).filter(pk=pk).update(
        state=Case(When(has_votes, then=Value(State.PARTLY_ANSWERED)), default=Value(State.OPEN)),
        closed_at=None,
        escalated_at=None,
        due_at=row.due_at,
        urgent_at=row.urgent_at,
        next_notice_at=row.next_notice_at,
        row_version=F("row_version") + 1,
    )


def _row(hub: str, checkpoint: Checkpoint, task: NewTask) -> HumanTask:
    values = {name: getattr(task, name) for name in COLUMNS}
    values["title"] = line("title", task.title)
    return HumanTask(
        hub=hub,
        instance_id=checkpoint.pk,
        execution=checkpoint.new_execution,
        urgent_at=task.due_at or NEVER,
        **values,
    )


def _settle(tables: Tables, settled: Sequence[tuple[TaskKey, SettledTask]], now: datetime) -> None:
    """Close the tasks as the engine has it. An answer that people gave keeps what they gave; it has arrived now."""
    for batch in chunks(settled, KEYS):
        for state in sorted({task.state for _, task in batch}):
            alike = {key: task for key, task in batch if task.state == state}
            if state == State.ANSWERED:
                _deliver(tables, alike, now)
            else:
                _tasks(tables, alike).update(state=state, closed_at=now, **CLOSED)
        _dismiss(tables, _any_of(key for key, _ in batch))
    _audit(tables, [(key[0], DEEDS[task.state], task.name, task.title) for key, task in settled])


def _deliver(tables: Tables, settled: Mapping[TaskKey, SettledTask], now: datetime) -> None:
    tasks = _tasks(tables, settled)
    bare = list(tasks.exclude(state=State.ANSWERED).values_list("pk", "instance_id", "execution", "wait_id"))
    tasks.filter(state=State.ANSWERED).update(delivered_at=now, **CLOSED)
    for pk, *key in bare:  # answered by an event that was raised past the task
        told = settled[key[0], key[1], key[2]]
        HumanTask.objects.using(tables.using).filter(pk=pk).update(
            state=State.ANSWERED,
            closed_at=now,
            delivered_at=now,
            answered_by=told.by[:USERNAME_LENGTH],
            outcome=told.outcome[:OUTCOME_LENGTH],
            **CLOSED,
        )


def _withdraw(tables: Tables, executions: Collection[tuple[int, int]], now: datetime) -> None:
    """Close whatever is open of these executions."""
    for batch in chunks(sorted(executions), KEYS):
        ended = reduce(or_, (Q(instance_id=pk, execution=execution) for pk, execution in batch))
        live = HumanTask.objects.using(tables.using).filter(ended, state__in=HumanTask.LIVE)
        if found := [(pk, Deed.WITHDRAWN, *told) for pk, *told in live.values_list("instance_id", "name", "title")]:
            live.update(state=State.WITHDRAWN, closed_at=now, **CLOSED)
            _dismiss(tables, ended)
            _audit(tables, found)


def _tasks(tables: Tables, keys: Collection[TaskKey]) -> QuerySet[HumanTask]:
    """The tasks with these keys, of which there is at least one."""
    return HumanTask.objects.using(tables.using).filter(_any_of(keys))


def _any_of(keys: Iterable[TaskKey]) -> Q:
    return reduce(or_, (Q(instance_id=pk, execution=execution, wait_id=wait_id) for pk, execution, wait_id in keys))


def _dismiss(tables: Tables, closed: Q) -> None:
    """Nobody is asked these any more. Who was left out stays, and so finds what became of what they asked for."""
    HumanAudience.objects.using(tables.using).filter(closed).exclude(key__startswith=LEFT_OUT).delete()


def _audit(tables: Tables, deeds: Sequence[tuple[Any, ...]]) -> None:
    """Record what the engine did: (instance, deed, event, title) each."""
    instances = Instance.objects.using(tables.using).filter(pk__in={deed[0] for deed in deeds})
    ids = dict(instances.values_list("pk", "instance_id"))
    AuditEntry.objects.using(tables.using).bulk_create(
        [
            AuditEntry(
                hub=tables.hub,
                instance_id=ids[pk],
                action=deed.value,
                actor_name=ENGINE,
                details={"event": name, "title": title},
                via=AuditEntry.Via.ENGINE,
            )
            for pk, deed, name, title in deeds
        ]
    )


def audience_keys(reviewers: Mapping[str, Any]) -> list[str]:
    """The keys of HumanAudience by which people find a question, and by which it is kept from some."""
    keys = [f"group:{name}" for name in reviewers["groups"]] + [f"user:{name}" for name in reviewers["users"]]
    if reviewers["permission"]:
        keys.append(f"permission:{reviewers['permission']}")
    return list(dict.fromkeys([*(keys or ["anyone"]), *(f"{LEFT_OUT}{name}" for name in reviewers["exclude"])]))


def forget(tables: Tables, pks: Collection[int]) -> None:
    """Delete the tasks of these instances with all that was said about them; the audit stays."""
    tasks = HumanTask.objects.using(tables.using)
    asking: list[int] = []
    for batch in chunks(pks, BATCH):
        asking += tasks.filter(instance_id__in=batch).values_list("instance_id", flat=True).distinct()
    if asking:
        for model in BELONGINGS:
            tables.delete(model, ("instance_id",), [(pk,) for pk in asking])
