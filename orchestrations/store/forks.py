"""Creating an instance that begins with what another one's history has. Rare: plain ORM around an ordinary start."""

from __future__ import annotations

from orchestrations.models import HistoryEvent, Instance
from orchestrations.store import large_payloads, starts
from orchestrations.store.contract import Created, Message, OnDuplicate
from orchestrations.store.fork_contract import NewFork
from orchestrations.store.messages import send
from orchestrations.store.rows import HISTORY_COLUMNS, history_row
from orchestrations.store.tables import BATCH, Tables, chunks


def create_fork(tables: Tables, fork: NewFork) -> Created:
    """Insert the instance, its history and its first messages; nothing where there is one of that id."""
    with tables.atomic():
        [created] = starts.create_instances(tables, [fork.start], OnDuplicate.ERROR)
        if not created.created:
            return created
        _make_fork(tables, created.pk, fork)
        rows = [history_row(created.pk, fork.execution, event) for event in fork.history]
        for batch in chunks(rows, BATCH):
            tables.insert(HistoryEvent, HISTORY_COLUMNS, batch)
        texts = {fork.first_input, *(event.payload for event in fork.history)} - {fork.start.input}
        large_payloads.record(tables, ((created.pk, text) for text in texts))
        send(tables, [Message(event, instance_pk=created.pk) for event in fork.messages])
    return created


def _make_fork(tables: Tables, pk: int, fork: NewFork) -> None:
    """Turn the new instance into one that stands where its history ends."""
    columns = {
        "execution": fork.execution,
        "last_sequence": len(fork.history),
        "forked_from": fork.forked_from,
        "forked_step": fork.forked_step,
        "custom_status": fork.custom_status,
        "first_input": fork.first_input,
        "first_version": fork.first_version,
    }
    if fork.messages:
        columns["claimable_at"] = None  # it has begun: a message wakes it up
    Instance.objects.using(tables.using).filter(pk=pk).update(**columns)
