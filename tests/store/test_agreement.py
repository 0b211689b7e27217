"""The tuned store and the plain ORM store do the same with the same operations: contents and answers compared.

Both work in one database, each in a hub of its own; rows are compared by instance id, never by key, and times only as
past or to come.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import models, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrations.core.events import EventType
from orchestrations.models import (
    ActivityWorkItem,
    HistoryEvent,
    InboxMessage,
    Instance,
    OpenWait,
    Timer,
    WorkerLease,
)
from orchestrations.store import get_store
from orchestrations.store.contract import (
    ClaimedActivity,
    ClaimedInstance,
    Message,
    NewInstance,
    NewTimer,
    NewWait,
    OnDuplicate,
    RunsOn,
    Store,
)
from orchestrations.store.orm import OrmStore
from tests.store.episodes import HOUR, NOON, PAST, checkpoint, completion, event, key, raised, scheduled

pytestmark = pytest.mark.django_db

TABLES: tuple[type[models.Model], ...] = (Instance, HistoryEvent, InboxMessage, Timer, ActivityWorkItem, OpenWait)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)
IDS = ("a", "b", "c")
KINDS = list(RunsOn)
TEXTS = st.sampled_from([None, "1", '{"a":"\\"\\\\"}', '"é{},NULL"', '"' + "x" * 500 + '"'])


class Bench:
    """One store with two workers, and what they believe to hold."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tokens = [self.open_lease(), self.open_lease()]
        self.held: dict[tuple[int, str], ClaimedInstance] = {}
        self.running: dict[int, list[ClaimedActivity]] = {0: [], 1: []}

    def open_lease(self) -> int:
        return self.store.open_lease("host:1", "host", 1, timedelta(hours=1), 1, "{}")

    # Clients -----------------------------------------------------------------------------------------------------

    def start(self, ids: list[str], on_duplicate: OnDuplicate, text: str | None, future: bool) -> Any:
        start_at = FUTURE if future else None
        new = [NewInstance(one, f"of {one}", input=text, tags={"n": one}, start_at=start_at) for one in ids]
        created = self.store.create_instances(new, on_duplicate)
        return [(one.instance_id, one.created, one.existing_status) for one in created]

    def send(self, ids: list[str], text: str | None, idempotency_key: str | None, hidden: bool) -> int:
        visible_at = FUTURE if hidden else None
        return self.store.send(
            [
                Message(event(name="x", payload=text), None, one, None, visible_at, idempotency_key)
                for one in [*ids, "nobody"]
            ]
        )

    def purge(self, ids: list[str]) -> int:
        named = Instance.objects.filter(hub=self.store.hub, instance_id__in=ids)
        return self.store.purge(list(named.values_list("pk", flat=True)))

    # Workers -----------------------------------------------------------------------------------------------------

    def claim(self, worker: int) -> Any:
        claim = self.store.claim_instances(self.tokens[worker], 50)
        for one in claim.instances:
            self.held[worker, one.instance_id] = one
        return sorted(self._seen(one) for one in claim.instances), claim.more

    def _seen(self, one: ClaimedInstance) -> Any:
        messages = [(str(m.event.type), m.event.name, m.event.payload, m.event.task_id) for m in one.messages]
        links = (one.parent_instance_id or "", one.parent_execution or 0, one.parent_task_id or 0)
        numbers = (one.execution, one.last_sequence, one.attempts, one.begins)
        texts = (one.name, one.version, one.status, one.custom_status or "", str(one.tags))
        return one.instance_id, numbers, texts, links, str(messages)

    def commit(self, worker: int, episode: dict[str, Any]) -> Any:
        held = {one.instance_id: one for (who, _), one in self.held.items() if who == worker}
        checkpoints = [self._checkpoint(held[instance_id], dict(episode)) for instance_id in sorted(held)]
        lost = self.store.commit(self.tokens[worker], checkpoints).lost
        for written in checkpoints:
            for one in held.values():
                if one.pk == written.pk:
                    one.execution, one.last_sequence = written.new_execution, written.new_last_sequence
                    one.messages = []
        return sorted(one.instance_id for one in held.values() if one.pk in lost)

    def _checkpoint(self, one: ClaimedInstance, episode: dict[str, Any]) -> Any:
        task_id = one.last_sequence + 10
        child_of = {"parent_pk": one.pk, "parent_execution": one.execution, "parent_task_id": task_id}
        children = [
            NewInstance(child, "child", keep_history=len(child) == 1, **child_of) for child in episode.pop("children")
        ]
        text = episode.pop("text")
        continues = episode.pop("continues")
        built = checkpoint(
            one,
            history=[raised(), event(EventType.TASK_SCHEDULED, task_id=task_id, payload=text)],
            consumed=[message.pk for message in one.messages],
            work_items=[
                scheduled(task_id, sequence=one.last_sequence + 2, held=episode.pop("held"), runs_on=KINDS[task_id % 3])
            ],
            timers=[NewTimer(task_id, 0, PAST), NewTimer(task_id, 1, FUTURE)],
            opened_waits=[NewWait(task_id, "x", NOON, FUTURE, "t" * 400, text)],
            cancelled_timers=[(number, 1) for number in range(10, task_id, 2)],
            closed_waits=list(range(10, task_id, 4)),
            ended_activities=list(range(10, task_id, 4)),
            custom_status=text,
            output=text,
            error="e" * 500,
            error_fingerprint="f" * 16,
            children=children,
            messages=[Message(raised(), instance_id=target) for target in episode.pop("targets")],
            **episode,
        )
        if continues:
            built.new_execution += 1
            built.new_last_sequence = 0
            built.history, built.work_items, built.timers, built.opened_waits = [], [], [], []
            built.claimable_at = PAST
            built.new_input = (text,)
            built.new_version = "2"
            built.ends_execution = built.forgets_history = True
        return built

    def give_back(self, worker: int, how: str) -> None:
        token = self.tokens[worker]
        mine = {name: one for (who, name), one in self.held.items() if who == worker}
        if how == "release":
            self.store.release_instances(token, [one.pk for one in mine.values()])
        elif how == "abandon":
            self.store.abandon_instances(token, {one.pk: f"no {name}" for name, one in mine.items()}, HOUR)
        else:
            messages = {one.pk: [message.pk for message in one.messages] for one in mine.values()}
            self.store.drop_messages(token, messages)

    def run(self, worker: int) -> Any:
        works = self.store.claim_activities(self.tokens[worker], 50, 2)
        self.running[worker] += works
        return sorted(
            (work.instance_id, work.execution, work.task_id, work.attempt, work.dispatches, work.input or "")
            for work in works
        )

    def complete(self, worker: int, count: int) -> int:
        works = sorted(self.running[worker], key=lambda work: (work.instance_id, work.execution, work.task_id))
        return self.store.complete_activities(self.tokens[worker], [completion(work) for work in works[:count]])

    def detach(self, worker: int) -> None:
        keys = [key_of(work) for work in self.running[worker]]
        self.store.detach_activities(self.tokens[worker], keys)

    def fire(self, limit: int) -> int:
        return self.store.fire_timers(limit)

    def die(self, worker: int) -> Any:
        WorkerLease.objects.filter(token=self.tokens[worker]).update(expires_at=PAST)
        recovery = self.store.recover()
        self.tokens[worker] = self.open_lease()
        return recovery

    def close(self, worker: int) -> None:
        self.store.close_lease(self.tokens[worker])
        self.tokens[worker] = self.open_lease()

    def look(self) -> Any:
        named = Instance.objects.filter(hub=self.store.hub)
        executions = dict(named.values_list("pk", "execution"))
        names = dict(named.values_list("pk", "instance_id"))
        loaded = self.store.load_history(executions)
        histories = {names[pk]: (one.input, [str(event_) for event_ in one.events]) for pk, one in loaded.items()}
        due = self.store.next_due_at()
        return histories, self.store.has_work(), due is not None and due > NOON

    # Contents ----------------------------------------------------------------------------------------------------

    def contents(self) -> dict[str, Any]:
        names = dict(Instance.objects.filter(hub=self.store.hub).values_list("pk", "instance_id"))
        tokens = {token: f"worker {number}" for number, token in enumerate(self.tokens)}
        names_and_tokens = (names, tokens)
        found = {}
        for model in TABLES:
            rows = model._default_manager.order_by("pk")
            mine = rows.filter(hub=self.store.hub) if model is not HistoryEvent else rows.filter(instance_id__in=names)
            found[model.__name__] = sorted(str(comparable(row, *names_and_tokens)) for row in mine)
        return found


def key_of(work: ClaimedActivity) -> Any:
    return key(ClaimedKey(work.instance_pk, work.execution), work.task_id)


class ClaimedKey:
    """As much of a claimed instance as the key of its activity needs."""

    def __init__(self, pk: int, execution: int) -> None:
        self.pk, self.execution = pk, execution


def comparable(row: models.Model, names: dict[int, str], tokens: dict[int, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if field.primary_key or field.name == "hub":
            continue
        if field.name in ("instance", "parent"):
            value = names.get(value, value and "gone")
        elif field.name == "lease_token":
            value = value and tokens.get(value, "nobody")
        elif isinstance(value, datetime) and value not in (NOON, PAST, FUTURE):
            value = "later" if value > datetime.now(UTC) + timedelta(seconds=1) else "by now"
        values[field.name] = value
    return values


ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4)
workers = st.sampled_from([0, 1])
episodes = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["Running", "Running", "Suspended", "Completed", "Failed"]),
        "release": st.booleans(),
        "held": st.booleans(),
        "continues": st.sampled_from([False, False, True]),
        "ends_execution": st.booleans(),
        "keeps_activities": st.booleans(),
        "text": TEXTS,
        "children": st.lists(st.sampled_from([*IDS, "child"]), max_size=2),
        "targets": st.lists(st.sampled_from([*IDS, "nobody"]), max_size=2),
    }
)
operations = st.one_of(
    st.tuples(st.just("start"), ids, st.sampled_from(OnDuplicate), TEXTS, st.sampled_from([False, False, True])),
    st.tuples(st.just("send"), ids, TEXTS, st.sampled_from([None, "k1", "k2"]), st.booleans()),
    st.tuples(st.just("claim"), workers),
    st.tuples(st.just("claim"), workers),
    st.tuples(st.just("commit"), workers, episodes),
    st.tuples(st.just("commit"), workers, episodes),
    st.tuples(st.just("give_back"), workers, st.sampled_from(["release", "abandon", "drop"])),
    st.tuples(st.just("run"), workers),
    st.tuples(st.just("complete"), workers, st.integers(0, 3)),
    st.tuples(st.just("detach"), workers),
    st.tuples(st.just("fire"), st.integers(1, 5)),
    st.tuples(st.just("die"), workers),
    st.tuples(st.just("close"), workers),
    st.tuples(st.just("purge"), ids),
    st.tuples(st.just("look")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(operations, min_size=10, max_size=40))
def test_the_tuned_store_agrees_with_the_plain_one(db, steps):
    with transaction.atomic():
        plain = Bench(OrmStore("plain", "default"))
        tuned = Bench(get_store("tuned", "default"))
        plain.start(list(IDS), OnDuplicate.ERROR, "1", False)
        tuned.start(list(IDS), OnDuplicate.ERROR, "1", False)
        for name, *arguments in steps:
            answers = [getattr(bench, name)(*arguments) for bench in (plain, tuned)]
            assert answers[0] == answers[1], name
        assert plain.contents() == tuned.contents()
        transaction.set_rollback(True)
