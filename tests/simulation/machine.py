"""The whole engine as a Hypothesis state machine: two workers, whatever can happen to them, and a simple model.

The core, the store, the runtime and the client are the real ones, on the real database. There are no wake-ups at all: a
worker finds only what the tables say. Time stands still until a step lets it pass, for the database too.

The model knows two things: what each program returns if nothing of it fails for good (``programs.expected``), and how
many external events were accepted by whom. Everything else must not matter.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import msgspec
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrations import OrchestrationClient
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import DurableError, InvalidTransition
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
from tests.simulation import invariants, programs
from tests.simulation.clock import MOMENT, SimulatedClock
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
    EventType.ENTITY_COMPLETED,
)

choice = st.integers(0, 1_000)  # one of however many there are
workers = st.sampled_from([0, 1])


class Engine(RuleBasedStateMachine):
    """One hub, two workers, up to three orchestrations."""

    clock: SimulatedClock  # of the test that runs the machine

    @initialize()
    def begin(self) -> None:
        for model in TABLES:
            model.objects.all().delete()
        programs.ledger.__init__()
        self.client = OrchestrationClient()
        self.workers = [SteppedWorker("A"), SteppedWorker("B")]
        self.roots: dict[str, dict[str, Any]] = {}  # what each was given
        self.accepted: dict[tuple[int, object], Counter[str]] = {}
        self.numbers = count(1)

    def teardown(self) -> None:
        """Mend everything, answer everything, and see that each orchestration returns what the model says."""
        if not hasattr(self, "roots"):
            return
        programs.ledger.broken.clear()
        for _ in range(ROUNDS):
            if self._goes_on_to_the_end():
                break
        invariants.check(self.accepted)
        for instance_id, given in self.roots.items():
            row = Instance.objects.get(instance_id=instance_id)
            if row.status != RuntimeStatus.TERMINATED:
                assert row.status == RuntimeStatus.COMPLETED, self._situation(row)
                model = [*given["results"], *programs.expected(given["parts"])]
                assert msgspec.json.decode(row.output) == model, f"{row.instance_id} returned {row.output}, not {model}"
                noted = {programs.label_of(entry) for entry in invariants.entries()}
                assert set(programs.noted(given["parts"])) <= noted, f"{row.instance_id} told {given}, noted {noted}"

    def _situation(self, row: Instance) -> str:
        """What there is of an instance that does not come to its end."""
        tables = [table.objects.filter(instance=row) for table in (InboxMessage, ActivityWorkItem, Timer, HistoryEvent)]
        columns = {name: value for name, value in vars(row).items() if value and name not in {"input", "_state"}}
        found = [str({k: str(v) for k, v in values.items() if v}) for rows in tables for values in rows.values()]
        return "\n".join([str(columns), *found])

    def _goes_on_to_the_end(self) -> bool:
        for row in Instance.objects.filter(status=RuntimeStatus.SUSPENDED):
            self.client.resume(row.instance_id)
        for row in Instance.objects.filter(status=RuntimeStatus.FAILED, instance_id__in=self.roots):
            self.client.rewind(row.instance_id)
        for wait in OpenWait.objects.select_related("instance").order_by("pk"):
            has_one = InboxMessage.objects.filter(instance=wait.instance, type=EventType.EVENT_RAISED).exists()
            if wait.instance.status == RuntimeStatus.RUNNING and not has_one:
                self._raise(wait.instance, wait.name)
        self.time_passes()
        self.leases_expire()
        for worker in self.workers:
            worker.notice()
            self._work_a_while(worker)
            worker.park()
        open_roots = Instance.objects.filter(instance_id__in=self.roots)
        open_roots = open_roots.exclude(status__in=[RuntimeStatus.COMPLETED, RuntimeStatus.TERMINATED])
        return not (open_roots.exists() or InboxMessage.objects.filter(instance__is_entity=True).exists())

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

    @rule(worker=workers)
    def park(self, worker: int) -> None:
        self.workers[worker].park()

    @rule(worker=workers)
    def forget(self, worker: int) -> None:
        self.workers[worker].forget()

    @rule(worker=workers)
    def die(self, worker: int) -> None:
        self.workers[worker].die()

    @rule(worker=workers)
    def claim_and_die(self, worker: int) -> None:
        self._tick()
        self.workers[worker].claim_and_die()

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

    @rule(worker=workers)
    def lose_the_lease(self, worker: int) -> None:
        self.workers[worker].lose_lease()

    @rule(worker=workers)
    def notice(self, worker: int) -> None:
        self.workers[worker].notice()

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
        """An end that is in the history comes again."""
        ends = HistoryEvent.objects.filter(type__in=ENDS).order_by("instance_id", "execution", "sequence")
        total = ends.count()
        if total:
            event = ends[which % total]
            execution = event.execution
            if event.type in CHILD_ENDS:
                started = HistoryEvent.objects.get(
                    instance_id=event.instance_id, execution=event.execution, type=EventType.EXECUTION_STARTED
                )
                execution = msgspec.json.decode(started.attributes)["generation"]
            columns = ("instance_id", "type", "task_id", "attempt", "name", "payload", "attributes")
            again = {column: getattr(event, column) for column in columns}
            InboxMessage.objects.create(hub=get_store().hub, execution=execution, **again)

    @rule(which=choice, name=st.sampled_from(["go", "GO", "stop"]), twice=st.booleans())
    def raise_event(self, which: int, name: str, twice: bool) -> None:
        row = self._one_of(which, status__in=LIVE)
        if row is not None:
            self._raise(row, name, twice=twice)

    # Control -----------------------------------------------------------------------------------------------------

    @rule(program=programs.programs, breaks=st.sets(st.integers(0, 5), max_size=2))
    def start(self, program: list[Any], breaks: set[int]) -> None:
        if len(self.roots) < INSTANCES:
            number = next(self.numbers)
            parts = programs.labelled(program, f"{number}.")
            breakable = sorted(programs.labels(parts))
            programs.ledger.broken |= {breakable[index] for index in breaks if index < len(breakable)}
            note(f"root-{number}: {parts}, broken: {sorted(programs.ledger.broken)}")
            self.client.start_new(programs.simulated, f"root-{number}", programs.given(parts))
            self.roots[f"root-{number}"] = programs.given(parts)

    @rule(which=choice)
    def mend(self, which: int) -> None:
        if programs.ledger.broken:
            programs.ledger.broken.discard(sorted(programs.ledger.broken)[which % len(programs.ledger.broken)])

    @rule(which=choice, verb=st.sampled_from(["suspend", "resume"]))
    def pause(self, which: int, verb: str) -> None:
        row = self._one_of(which, status__in=LIVE)
        if row is not None:
            getattr(self.client, verb)(row.instance_id)

    @rule(which=choice)
    def terminate(self, which: int) -> None:
        row = self._one_of(which, status__in=LIVE)
        if row is not None:
            self.client.terminate(row.instance_id)

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
        """Begin again what has ended; under the same id only where no descendant is live, whose ids would be taken."""
        row = self._one_of(which, parent=None)
        if row is None or (fresh and len(self.roots) >= INSTANCES) or (not fresh and not self._is_quiet(row)):
            return
        restarted = self.client.restart(row.instance_id, restart_with_new_instance_id=fresh)
        self.roots[restarted] = msgspec.json.decode(row.input)  # that of its last generation

    @rule(which=choice)
    def purge(self, which: int) -> None:
        row = self._one_of(which)
        if row is not None and self._is_quiet(row):
            self.client.purge_instance_history(row.instance_id, recursive=True)
            self.roots.pop(row.instance_id, None)

    # What must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def tables_are_in_order(self) -> None:
        if hasattr(self, "accepted"):
            invariants.check(self.accepted)

    @invariant()
    def nothing_fails_that_was_not_made_to(self) -> None:
        for row in Instance.objects.filter(status=RuntimeStatus.FAILED):
            assert "is broken" in row.failure or "was terminated" in row.failure, row.failure

    # Inside ------------------------------------------------------------------------------------------------------

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

    def _is_quiet(self, row: Instance) -> bool:
        """Whether it and everything below it has ended."""
        below = Instance.objects.filter(pk__in=descendants(row.pk))
        return not below.filter(status__in=LIVE).exists() and row.status not in LIVE

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
