"""The whole engine as a Hypothesis state machine: two workers, whatever can happen to them, and a simple model.

The core, the store, the runtime and the client are the real ones, on the real database. There are no wake-ups at all: a
worker finds only what the tables say. Time stands still until a step lets it pass, for the database too.

The model knows three things: what each program comes to if nothing of it fails for good (``model``), how many external
events were accepted by whom, and which acts are refused. Everything else must not matter.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import msgspec
from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrations import OrchestrationClient
from orchestrations.client.starting import Started
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import DurableError, InstanceAlreadyExists, InvalidTransition
from orchestrations.models import (
    ActivityWorkItem,
    Entity,
    HistoryEvent,
    InboxMessage,
    Instance,
    OpenWait,
    Timer,
    WorkerLease,
)
from orchestrations.reading.queries import descendants
from orchestrations.store import get_store
from orchestrations.store.contract import OnDuplicate
from tests.simulation import invariants, model, programs, strategies
from tests.simulation.clock import MOMENT, SimulatedClock
from tests.simulation.programs import ledger
from tests.simulation.workers import SteppedWorker

INSTANCES = 3  # roots at a time
ROUNDS = 400  # to the end; none of the programs needs as many
TABLES = (InboxMessage, Entity, HistoryEvent, ActivityWorkItem, Timer, OpenWait, WorkerLease, Instance)
LEASE = timedelta(minutes=2)  # longer than a lease lasts
LIVE = (RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED, RuntimeStatus.CONTINUED_AS_NEW)
CHILD_ENDS = frozenset({EventType.SUB_ORCHESTRATION_COMPLETED, EventType.SUB_ORCHESTRATION_FAILED})
ENDS = (
    EventType.TASK_COMPLETED,
    EventType.TASK_FAILED,
    EventType.TIMER_FIRED,
    EventType.SUB_ORCHESTRATION_COMPLETED,
    EventType.SUB_ORCHESTRATION_FAILED,
    EventType.ENTITY_COMPLETED,
    EventType.ENTITY_FAILED,
)
FORESEEN = ("is broken", "was terminated", "No external event")
REPLACES_LIVE = {OnDuplicate.TERMINATE}
REPLACES_ENDED = {OnDuplicate.TERMINATE, OnDuplicate.REPLACE_TERMINAL}

choice = st.integers(0, 1_000)  # one of however many there are
workers = st.sampled_from([0, 1])
breaks = st.sets(st.integers(0, 5), max_size=2)  # which of a program's labels, if there are as many


@dataclass
class Root:
    """What an orchestration that nobody is the parent of was started with."""

    parts: list[Any]
    version: str = programs.NEWEST
    start_at: datetime | None = None


class Engine(RuleBasedStateMachine):
    """One hub, two workers, up to three orchestrations."""

    clock: SimulatedClock  # of the test that runs the machine
    seen: Counter[str]  # in how many runs each kind of thing has happened

    @initialize(programs=st.tuples(strategies.programs, strategies.programs), breaks=breaks)
    def begin(self, programs: tuple[list[Any], list[Any]], breaks: set[int]) -> None:
        for table in TABLES:
            table.objects.all().delete()
        ledger.__init__()
        self.client = OrchestrationClient()
        self.workers = [SteppedWorker("A"), SteppedWorker("B")]
        self.roots: dict[str, Root] = {}
        self.accepted: dict[tuple[int, object], Counter[str]] = {}
        self.numbers = count(1)
        for program in programs:
            self.start(program, breaks, None, None)

    def teardown(self) -> None:
        """Mend everything, answer everything, and see that each orchestration comes to what the model says."""
        if not hasattr(self, "roots"):
            return
        ledger.broken.clear()
        for number in range(ROUNDS):
            if self._goes_on_to_the_end(raises=number > 1):
                break
        invariants.check(self.accepted)
        invariants.check_idle()
        for row in Instance.objects.filter(is_entity=False):
            is_child = row.instance_id not in self.roots
            assert row.status not in LIVE and (is_child or row.status != RuntimeStatus.FAILED), self._situation(row)
            if row.status == RuntimeStatus.COMPLETED and not self._may_be_nobodys_child(row):
                parts = msgspec.json.decode(row.start_input)["parts"]
                root = Root(parts) if is_child else self.roots[row.instance_id]
                self._compare(row, root, model.Instance(root.parts, root.version, is_child=is_child))
        self.seen.update(ledger.seen)

    def _compare(self, row: Instance, root: Root, instance: model.Instance) -> None:
        where = f"{row.instance_id} {root}"
        output, custom_status = (msgspec.json.decode(text or "null") for text in (row.output, row.custom_status))
        assert output == instance.output, f"{where} returned {output}, not {instance.output}"
        assert custom_status == instance.custom_status, f"{where} shows {custom_status}, not {instance.custom_status}"
        noted = {programs.label_of(entry) for entry in invariants.entries()}
        assert set(model.noted(root.parts)) <= noted, f"{where}: noted {noted}"
        assert set(model.looked(root.parts)) <= ledger.looked, f"{where}: it did so only while replaying"

    def _situation(self, row: Instance) -> str:
        """What there is of an instance that does not come to its end."""
        tables = [table.objects.filter(instance=row) for table in (InboxMessage, ActivityWorkItem, Timer, HistoryEvent)]
        columns = {name: value for name, value in vars(row).items() if value and name not in {"input", "_state"}}
        found = [str({k: str(v) for k, v in values.items() if v}) for rows in tables for values in rows.values()]
        return "\n".join([str(columns), *found])

    def _goes_on_to_the_end(self, *, raises: bool) -> bool:
        """Let time pass, resume and rewind, and then raise what is waited for: what ran out of time gets it now."""
        self.time_passes()
        self.leases_expire()
        self._all_work()
        for row in Instance.objects.filter(status=RuntimeStatus.SUSPENDED):
            self.client.resume(row.instance_id)
        for row in Instance.objects.filter(status=RuntimeStatus.FAILED, instance_id__in=self.roots):
            self.client.rewind(row.instance_id)
        self._all_work()
        if raises:
            self._raise_what_is_waited_for()
            self._all_work()
        is_open = Instance.objects.filter(is_entity=False, status__in=LIVE).exists()
        failed = Instance.objects.filter(status=RuntimeStatus.FAILED, instance_id__in=self.roots)
        return not (is_open or failed.exists() or InboxMessage.objects.filter(instance__is_entity=True).exists())

    def _raise_what_is_waited_for(self) -> None:
        waits = OpenWait.objects.filter(name__in=strategies.NAMES, instance__status=RuntimeStatus.RUNNING)
        for wait in waits.select_related("instance").order_by("pk"):
            if not InboxMessage.objects.filter(instance=wait.instance, type=EventType.EVENT_RAISED).exists():
                self._raise(wait.instance, wait.name)

    def _all_work(self) -> None:
        for worker in self.workers:
            worker.notice()
            self._work_a_while(worker)
            worker.park()

    # Workers -----------------------------------------------------------------------------------------------------

    @rule(worker=workers)
    def turn(self, worker: int) -> None:
        self._turn(self.workers[worker])

    @rule(worker=workers, which=choice)
    def run_an_activity(self, worker: int, which: int) -> None:
        pool = self.workers[worker].pool
        if pool.waiting():
            pool.run(which % pool.waiting())

    @rule(worker=workers)
    def work_a_while(self, worker: int) -> None:
        """So that programs get somewhere: what a drain does when nothing comes in between."""
        self._work_a_while(self.workers[worker])

    @rule(worker=workers, how=st.sampled_from(["park", "forget", "die", "claim_and_die", "lose_lease", "notice"]))
    def fare_ill(self, worker: int, how: str) -> None:
        self._tick()
        getattr(self.workers[worker], how)()

    @rule(worker=workers, fates=st.lists(st.sampled_from(["lost", "unanswered"]), min_size=1, max_size=8))
    def turn_on_a_bad_connection(self, worker: int, fates: list[str]) -> None:
        self.workers[worker].store.commits = list(fates)
        self._turn(self.workers[worker])
        self.workers[worker].store.commits = []

    @rule(worker=workers, which=choice)
    def turn_while_the_other_takes_over(self, worker: int, which: int) -> None:
        """Be stopped before a commit until the lease has expired and the other worker has done the work."""
        stale, other = self.workers[worker], self.workers[1 - worker]

        def take_over() -> None:
            stale.lose_lease()
            self.leases_expire()
            for _ in range(2):
                self._turn(other)
                if other.pool.waiting():
                    other.pool.run(which % other.pool.waiting())

        stale.store.before_commit = take_over
        self._turn(stale)
        stale.store.before_commit = None

    @rule()
    def leases_expire(self) -> None:
        """Those of dead processes, and of those that are away."""
        self._pass(2 * LEASE)
        get_store().recover()

    # Time and messages -------------------------------------------------------------------------------------------

    @rule(hours=st.sampled_from([0.01, 1, 1.5, 30]))
    def time_passes(self, hours: float = 30) -> None:
        self._pass(timedelta(hours=hours))

    @rule(which=choice)
    def redeliver(self, which: int) -> None:
        """An end that is in the history comes again. But the failure of a child only while its call is not tried again:

        it bears no attempt, since a child tells its parent once of each.
        """
        ends = HistoryEvent.objects.filter(type__in=ENDS).order_by("instance_id", "execution", "sequence")
        types = sorted(set(ends.values_list("type", flat=True)))
        if types:  # each as likely as the others, although failures are rare
            alike = ends.filter(type=types[which % len(types)])
            event = alike[which // len(types) % alike.count()]
            execution = event.execution
            if event.type in CHILD_ENDS:
                started = HistoryEvent.objects.get(
                    instance_id=event.instance_id, execution=event.execution, type=EventType.EXECUTION_STARTED
                )
                execution = msgspec.json.decode(started.attributes)["generation"]
            if event.type == EventType.SUB_ORCHESTRATION_FAILED and self._is_tried_again(event):
                return
            self.saw(f"redelivered {event.type}")
            columns = ("instance_id", "type", "task_id", "attempt", "name", "payload", "attributes")
            again = {column: getattr(event, column) for column in columns}
            InboxMessage.objects.create(hub=get_store().hub, execution=execution, **again)

    @rule(which=choice, name=st.sampled_from(["go", "GO", "stop"]), twice=st.booleans())
    def raise_event(self, which: int, name: str, twice: bool) -> None:
        row = self._one_of(which, status__in=LIVE)
        if row is not None:
            self._raise(row, name, twice=twice)

    # Control -----------------------------------------------------------------------------------------------------

    @rule(
        program=strategies.programs,
        breaks=breaks,
        version=st.sampled_from([None, "1.0"]),
        hours=st.sampled_from([None, None, 1, 30]),
    )
    def start(self, program: list[Any], breaks: set[int], version: str | None, hours: int | None) -> None:
        if len(self.roots) < INSTANCES:
            root = self._new_root(program, breaks, version, hours)
            instance_id = f"root-{next(self.numbers)}"
            self._start(instance_id, root)
            self.roots[instance_id] = root

    @rule(
        which=choice,
        policy=st.sampled_from(OnDuplicate),
        program=strategies.programs,
        hours=st.sampled_from([None, 1]),
    )
    def start_under_a_taken_id(self, which: int, policy: OnDuplicate, program: list[Any], hours: int | None) -> None:
        row = self._one_of(which, parent=None, instance_id__in=self.roots)
        if row is None:
            return
        is_live = row.status in LIVE
        self.clock.advance(MOMENT)  # by their creation times the two are told apart here
        self.saw(f"{policy} for {'a live' if is_live else 'an ended'} one")
        root = self._new_root(program, set(), None, hours)
        replaces = policy in (REPLACES_LIVE if is_live else REPLACES_ENDED)
        try:
            started = self._start(row.instance_id, root, policy)
        except InstanceAlreadyExists:
            assert not replaces and policy != OnDuplicate.RETURN_EXISTING, f"{policy} was refused for {row.status}"
        else:
            assert started.is_new == replaces, f"{policy} for {row.status}: {started}"
            assert replaces or policy == OnDuplicate.RETURN_EXISTING, f"{policy} was let through for {row.status}"
        if replaces:
            self.roots[row.instance_id] = root

    @rule(which=choice)
    def mend(self, which: int) -> None:
        if ledger.broken:
            ledger.broken.discard(sorted(ledger.broken)[which % len(ledger.broken)])

    @rule(which=choice, verb=st.sampled_from(["suspend", "resume"]), recursive=st.booleans())
    def pause(self, which: int, verb: str, recursive: bool) -> None:
        row = self._one_of(which, status__in=LIVE)
        if row is not None:
            getattr(self.client, verb)(row.instance_id, recursive=recursive)

    @rule(which=choice, recursive=st.booleans())
    def terminate(self, which: int, recursive: bool) -> None:
        row = self._one_of(which, status__in=LIVE)
        if row is not None:
            self.client.terminate(row.instance_id, recursive=recursive)

    @rule(which=choice)
    def rewind(self, which: int) -> None:
        row = self._one_of(which)
        if row is not None and row.status == RuntimeStatus.FAILED:
            self.client.rewind(row.instance_id)
        elif row is not None:
            with suppress(InvalidTransition):
                self.client.rewind(row.instance_id)
                raise AssertionError(f"a rewind from {row.status} was let through")

    @rule(which=choice, fresh=st.booleans())
    def restart(self, which: int, fresh: bool) -> None:
        """Begin again what has ended, whatever its children do."""
        row = self._one_of(which, instance_id__in=self.roots)
        if row is None or row.status in LIVE or (fresh and len(self.roots) >= INSTANCES):
            return
        restarted = self.client.restart(row.instance_id, restart_with_new_instance_id=fresh)
        root = self.roots[row.instance_id]
        self.roots[restarted] = Root(root.parts, root.version)

    @rule(which=choice, recursive=st.booleans())
    def purge(self, which: int, recursive: bool) -> None:
        row = self._one_of(which)
        if row is not None:
            self._purge(row, recursive)

    @rule(which=choice, worker=workers, recursive=st.booleans())
    def orphan(self, which: int, worker: int, recursive: bool) -> None:
        """A parent is ended, and goes, while a child of it is live."""
        parents = Instance.objects.filter(status__in=LIVE).values("parent_id")
        row = self._one_of(which, status__in=LIVE, pk__in=parents)
        if row is not None:
            self.client.terminate(row.instance_id, recursive=False)
            self._turn(self.workers[worker])
            self._purge(Instance.objects.get(pk=row.pk), recursive)

    # What must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def tables_are_in_order(self) -> None:
        if hasattr(self, "accepted"):
            invariants.check(self.accepted)

    @invariant()
    def nothing_fails_that_was_not_made_to(self) -> None:
        for row in Instance.objects.filter(status=RuntimeStatus.FAILED):
            assert any(words in row.failure for words in FORESEEN), row.failure

    @invariant()
    def nothing_begins_before_its_time(self) -> None:
        for row in Instance.objects.filter(started_at__isnull=False, instance_id__in=getattr(self, "roots", ())):
            start_at = self.roots[row.instance_id].start_at
            assert start_at is None or row.started_at >= start_at, f"{row.instance_id} has begun before {start_at}"

    # Inside ------------------------------------------------------------------------------------------------------

    def _purge(self, row: Instance, recursive: bool) -> None:
        """An ended instance goes; of those below it only ended ones, and only with ``recursive``."""
        if row.status in LIVE:
            with suppress(InvalidTransition):
                self.client.purge_instance_history(row.instance_id, recursive=recursive)
                raise AssertionError(f"a purge of a {row.status} instance was let through")
            return
        below = Instance.objects.filter(pk__in=descendants(row.pk)).exclude(pk=row.pk)
        has_live = below.filter(status__in=LIVE).exists()
        self.saw("purged with a live child" if has_live else "purged")
        ended = below.exclude(status__in=LIVE) if recursive else below.none()
        expected = set(Instance.objects.exclude(pk__in=[row.pk, *ended.values_list("pk", flat=True)]))
        self.client.purge_instance_history(row.instance_id, recursive=recursive)
        assert set(Instance.objects.all()) == expected
        self.roots.pop(row.instance_id, None)

    def _turn(self, worker: SteppedWorker) -> None:
        self._tick()
        worker.turn()

    def _work_a_while(self, worker: SteppedWorker) -> None:
        for _ in range(4):
            self._turn(worker)
            while worker.pool.waiting():
                worker.pool.run(0)

    def _tick(self) -> None:
        """Let what was just written be a moment old."""
        self._pass(MOMENT)

    def _pass(self, time: timedelta) -> None:
        """Let time pass, in which the hearts of those who are there beat."""
        for worker in self.workers:
            worker.beat(self.clock.now + time + LEASE)
        self.clock.advance(time)

    def _one_of(self, which: int, **where: object) -> Instance | None:
        rows = list(Instance.objects.filter(is_entity=False, **where).order_by("pk"))
        return rows[which % len(rows)] if rows else None

    def _may_be_nobodys_child(self, row: Instance) -> bool:
        """Whether its parent is purged: an execution that began after that is told of none."""
        looks = any(model.looked(msgspec.json.decode(row.start_input)["parts"]))
        return looks and row.parent_id is not None and not Instance.objects.filter(pk=row.parent_id).exists()

    def _is_tried_again(self, event: HistoryEvent) -> bool:
        """Whether the call that failed is made again, after a retry or a rewind."""
        later = HistoryEvent.objects.filter(
            instance_id=event.instance_id,
            task_id=event.task_id,
            type=EventType.SUB_ORCHESTRATION_CREATED,
            execution=event.execution,
            sequence__gt=event.sequence,
        )
        return later.exists() or event.instance.execution != event.execution

    def _new_root(self, program: list[Any], breaks: set[int], version: str | None, hours: int | None) -> Root:
        parts = strategies.labelled(program, f"{next(self.numbers)}.")
        breakable = sorted(model.labels(parts))
        ledger.broken |= {breakable[index] for index in breaks if index < len(breakable)}
        start_at = None if hours is None else self.clock.now + timedelta(hours=hours)
        self.saw("started now" if start_at is None else "started at a later time")
        root = Root(parts, version or programs.NEWEST, start_at)
        if currently_in_test_context():
            note(f"{root}, broken: {sorted(ledger.broken)}")
        return root

    def _start(self, instance_id: str, root: Root, policy: OnDuplicate = OnDuplicate.ERROR) -> Started:
        return self.client.start(
            programs.simulated,
            instance_id,
            programs.given(root.parts),
            version=root.version,
            start_at=root.start_at,
            on_duplicate=policy,
        )

    def saw(self, what: str) -> None:
        """Note that something of that kind has happened in this run."""
        ledger.seen.add(what)

    def _raise(self, row: Instance, name: str, *, twice: bool = False) -> None:
        counts = self.accepted.setdefault((row.pk, row.created_at), Counter())
        number = counts[name.casefold()] + 1
        # Keys are remembered for the instance, also when a child is created again under its id.
        key = f"{name.casefold()}-{number}-{row.created_at.isoformat()}"
        for _ in range(2 if twice else 1):
            try:
                self.client.raise_event(row.instance_id, name, number, idempotency_key=key)
            except DurableError:
                return
        counts[name.casefold()] = number
