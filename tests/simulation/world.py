"""One hub, two workers, a few orchestrations, and what can be done with them: what the steps are made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import currently_in_test_context, note
from hypothesis.stateful import RuleBasedStateMachine

from orchestrations import OrchestrationClient
from orchestrations.client.starting import Started
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import DurableError
from orchestrations.models import Instance
from orchestrations.store import get_store
from orchestrations.store.contract import OnDuplicate
from tests.emptying import empty
from tests.simulation import model, programs, snapshot, strategies
from tests.simulation.clock import MOMENT, SimulatedClock
from tests.simulation.invariants import Accepted
from tests.simulation.orders import LIVE, Orders
from tests.simulation.programs import ledger
from tests.simulation.redelivery import Redelivery
from tests.simulation.snapshot import Snapshot
from tests.simulation.workers import SteppedWorker

LEASE = timedelta(minutes=2)  # longer than a lease lasts
STILL = 30  # times round, within which there is nothing more to do


@dataclass
class Root:
    """What an orchestration that nobody is the parent of was started with."""

    parts: list[Any]
    version: str = programs.NEWEST
    start_at: datetime | None = None


class World(RuleBasedStateMachine):
    """What there is, and what can happen to it."""

    clock: SimulatedClock  # of the test that runs the machine
    seen: Counter[str]  # in how many runs each kind of thing has happened

    def make(self) -> None:
        """Let there be nothing but the workers."""
        empty(get_store().using)
        ledger.__init__()
        self.client = OrchestrationClient()
        self.workers = [SteppedWorker("A"), SteppedWorker("B")]
        self.roots: dict[str, Root] = {}
        self.accepted: Accepted = {}
        self.orders = Orders()
        self.redelivery = Redelivery()
        self.forks = 0
        self.numbers = count(1)

    def saw(self, what: str) -> None:
        """Note that something of that kind has happened in this run."""
        ledger.seen.add(what)

    def read(self) -> Snapshot:
        """The tables as they are."""
        return snapshot.read()

    # Workers and time --------------------------------------------------------------------------------------------

    def turn_of(self, worker: SteppedWorker) -> bool:
        """One turn, a moment later; whether there was anything to do."""
        self.tick()
        return worker.turn()

    def work_of(self, worker: SteppedWorker) -> bool:
        """What a drain does when nothing comes in between; whether there was anything to do."""
        for number in range(4):
            if not (self.turn_of(worker) or worker.pool.waiting()):
                return number > 0
            while worker.pool.waiting():
                worker.pool.run(0)
        return True

    def all_work(self) -> bool:
        """Let both workers be back, work, and give back what they hold; whether there was anything to do."""
        worked = False
        for worker in self.workers:
            worker.notice()
            worked |= self.work_of(worker)
            worker.park()
        return worked

    def settle(self) -> None:
        """Let everything be done that can be done now."""
        if not any(not self.all_work() for _ in range(STILL)):
            raise AssertionError(f"there is always more to do after {STILL} rounds")
        running = Instance.objects.filter(is_entity=False, status=RuntimeStatus.RUNNING)
        for pk, created_at, instance_id in running.values_list("pk", "created_at", "instance_id"):
            if not self.forks:  # which run the code of their origins
                ledger.listening.check(instance_id, self.accepted.get((pk, created_at), Counter()))

    def expire_leases(self) -> None:
        """Let those of dead processes, and of those that are away, run out."""
        self.pass_time(2 * LEASE)
        get_store().recover()

    def tick(self) -> None:
        """Let what was just written be a moment old. No heart beats in so short a time."""
        self.clock.advance(MOMENT)

    def pass_time(self, time: timedelta) -> None:
        """Let time pass, in which the hearts of those who are there beat."""
        for worker in self.workers:
            worker.beat(self.clock.now + time + LEASE)
        self.clock.advance(time)

    # Orchestrations ----------------------------------------------------------------------------------------------

    def one_of(self, which: int, **where: object) -> Instance | None:
        """One of the orchestrations of which that is so."""
        pks = list(Instance.objects.filter(is_entity=False, **where).order_by("pk").values_list("pk", flat=True))
        return Instance.objects.get(pk=pks[which % len(pks)]) if pks else None

    def new_root(self, program: list[Any], breaks: set[int], version: str | None, hours: int | None) -> Root:
        """What an orchestration is started with, of which some things are broken at first."""
        parts = strategies.labelled(program, f"{next(self.numbers)}.")
        breakable = sorted(model.labels(parts))
        ledger.broken |= {breakable[index] for index in breaks if index < len(breakable)}
        start_at = None if hours is None else self.clock.now + timedelta(hours=hours)
        self.saw("started now" if start_at is None else "started at a later time")
        root = Root(parts, version or programs.NEWEST, start_at)
        if currently_in_test_context():
            note(f"{root}, broken: {sorted(ledger.broken)}")
        return root

    def start_root(self, instance_id: str, root: Root, policy: OnDuplicate = OnDuplicate.ERROR) -> Started:
        """Start it under that id."""
        return self.client.start(
            programs.simulated,
            instance_id,
            programs.given(root.parts),
            version=root.version,
            start_at=root.start_at,
            on_duplicate=policy,
        )

    def raise_next(self, row: Instance, name: str, *, twice: bool = False) -> None:
        """Raise the next external event of that name, and count it if it is accepted."""
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

    def order(self, row: Instance, verb: str, *, recursive: bool) -> None:
        """Suspend, resume or terminate a live one."""
        assert row.status in LIVE
        getattr(self.client, verb)(row.instance_id, recursive=recursive)
        self.orders.give(row, verb)
