"""The whole engine as a Hypothesis state machine: two workers, whatever can happen to them, and a simple model.

The core, the store, the runtime and the client are the real ones, on the real database. There are no wake-ups at all: a
worker finds only what the tables say. Time stands still until a step lets it pass, for the database too.

The model knows four things: what each program comes to if nothing of it fails for good (``model``), how many external
events were accepted by whom, which acts are refused, and which orders were given (``orders``). Everything else must not
matter.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InstanceAlreadyExists, InvalidTransition, StepRefused
from orchestrations.models import Instance
from orchestrations.reading.queries import descendants
from orchestrations.store.contract import OnDuplicate
from tests.simulation import forks, invariants, model, strategies
from tests.simulation.ending import Ending
from tests.simulation.orders import LIVE, Family
from tests.simulation.programs import ledger
from tests.simulation.world import Root

INSTANCES = 3  # roots at a time, beside forks
FORKS = 2  # roots more, where there are any
REPLACES_LIVE = {OnDuplicate.TERMINATE}
REPLACES_ENDED = {OnDuplicate.TERMINATE, OnDuplicate.REPLACE_TERMINAL}

choice = st.integers(0, 1_000)  # one of however many there are
workers = st.sampled_from([0, 1])
breaks = st.sets(st.integers(0, 5), max_size=2)  # which of a program's labels, if there are as many
verbs = st.sampled_from(["suspend", "resume", "terminate"])


class Engine(Ending):
    """The steps."""

    @initialize(programs=st.tuples(strategies.programs, strategies.programs), breaks=breaks)
    def begin(self, programs: tuple[list[Any], list[Any]], breaks: set[int]) -> None:
        self.make()
        for program in programs:
            self.start(program, breaks, None, None)

    # Workers -----------------------------------------------------------------------------------------------------

    @rule(worker=workers)
    def turn(self, worker: int) -> None:
        self.turn_of(self.workers[worker])

    @rule(worker=workers, which=choice)
    def run_an_activity(self, worker: int, which: int) -> None:
        pool = self.workers[worker].pool
        if pool.waiting():
            pool.run(which % pool.waiting())

    @rule(worker=workers)
    def work_a_while(self, worker: int) -> None:
        """So that programs get somewhere: what a drain does when nothing comes in between."""
        self.work_of(self.workers[worker])

    @rule(worker=workers, how=st.sampled_from(["park", "forget", "die", "claim_and_die", "lose_lease", "notice"]))
    def fare_ill(self, worker: int, how: str) -> None:
        self.tick()
        getattr(self.workers[worker], how)()

    @rule(worker=workers, fates=st.lists(st.sampled_from(["lost", "unanswered"]), min_size=1, max_size=8))
    def turn_on_a_bad_connection(self, worker: int, fates: list[str]) -> None:
        self.workers[worker].store.commits = list(fates)
        self.turn_of(self.workers[worker])
        self.workers[worker].store.commits = []

    @rule(worker=workers, which=choice)
    def turn_while_the_other_takes_over(self, worker: int, which: int) -> None:
        """Be stopped before a commit until the lease has expired and the other worker has done the work."""
        stale, other = self.workers[worker], self.workers[1 - worker]

        def take_over() -> None:
            stale.lose_lease()
            self.expire_leases()
            for _ in range(2):
                self.turn_of(other)
                if other.pool.waiting():
                    other.pool.run(which % other.pool.waiting())

        stale.store.before_commit = take_over
        self.turn_of(stale)
        stale.store.before_commit = None

    @rule()
    def leases_expire(self) -> None:
        """Those of dead processes, and of those that are away."""
        self.expire_leases()

    # Time and messages -------------------------------------------------------------------------------------------

    @rule(hours=st.sampled_from([0.01, 1, 1.5, 30]))
    def time_passes(self, hours: float) -> None:
        self.pass_time(timedelta(hours=hours))

    @rule(which=st.lists(choice, min_size=2, max_size=6))
    def redeliver(self, which: list[int]) -> None:
        for one in which:
            kind = self.redelivery.redeliver(one)
            if kind is not None:
                self.saw(f"redelivered {kind}")

    @rule(which=choice)
    def end_late(self, which: int) -> None:
        if self.redelivery.send_late(which):
            self.saw("an end of an earlier generation")

    @rule(
        which=choice, names=st.lists(st.sampled_from(["go", "GO", "stop"]), min_size=1, max_size=4), twice=st.booleans()
    )
    def raise_events(self, which: int, names: list[str], twice: bool) -> None:
        row = self.one_of(which, status__in=LIVE)
        for name in names if row is not None else ():
            self.raise_next(row, name, twice=twice)

    # Control -----------------------------------------------------------------------------------------------------

    @rule(
        program=strategies.programs,
        breaks=breaks,
        version=st.sampled_from([None, "1.0"]),
        hours=st.sampled_from([None, None, 1, 30]),
    )
    def start(self, program: list[Any], breaks: set[int], version: str | None, hours: int | None) -> None:
        if len(self.roots) < INSTANCES:
            root = self.new_root(program, breaks, version, hours)
            instance_id = f"root-{next(self.numbers)}"
            self.start_root(instance_id, root)
            self.roots[instance_id] = root

    @rule(
        which=choice,
        policy=st.sampled_from(OnDuplicate),
        program=strategies.programs,
        hours=st.sampled_from([None, 1]),
    )
    def start_under_a_taken_id(self, which: int, policy: OnDuplicate, program: list[Any], hours: int | None) -> None:
        taken: dict[str, Any] = {"parent": None, "instance_id__in": self.roots}
        ended = self.one_of(which, completed_at__isnull=False, **taken) if which % 2 else None
        row = ended or self.one_of(which, **taken)
        if row is None:
            return
        is_live = row.status in LIVE
        self.tick()  # by their creation times the two are told apart here
        self.saw(f"{policy} for {'a live' if is_live else 'an ended'} one")
        root = self.new_root(program, set(), None, hours)
        replaces = policy in (REPLACES_LIVE if is_live else REPLACES_ENDED)
        try:
            started = self.start_root(row.instance_id, root, policy)
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

    @rule(which=choice, verb=verbs, recursive=st.booleans())
    def control(self, which: int, verb: str, recursive: bool) -> None:
        row = self.one_of(which, status__in=LIVE)
        if row is not None and not (verb == "terminate" and _tells(row)):
            self.order(row, verb, recursive=recursive)

    @rule(which=choice, verb=verbs, recursive=st.booleans())
    def control_a_family(self, which: int, verb: str, recursive: bool) -> None:
        """All that are below hear of it, or none, once everybody has done what there is to do."""
        self.expire_leases()
        self.settle()
        self.orders.check()
        row = self._one_with_children(which)
        if row is not None:
            family = Family(row)
            self.order(row, verb, recursive=recursive)
            self.settle()
            family.check(verb, recursive=recursive)
            self.orders.check()
            self.saw(f"{verb} of a family")

    @rule(which=choice, twice=st.booleans())
    def rewind(self, which: int, twice: bool) -> None:
        """One that has failed, if there is any."""
        row = self.one_of(which, status=RuntimeStatus.FAILED) or self.one_of(which)
        if row is not None and row.status == RuntimeStatus.FAILED:
            self.orders.forget(row)
            for _ in range(2 if twice else 1):
                self.client.rewind(row.instance_id)
        elif row is not None:
            with suppress(InvalidTransition):
                self.client.rewind(row.instance_id)
                raise AssertionError(f"a rewind from {row.status} was let through")

    @rule(which=choice, at=choice)
    def fork(self, which: int, at: int) -> None:
        """Run one again from any step, as a root of its own: a fork, if there is any, or another one."""
        row = (self.one_of(which, forked_from__isnull=False) if which % 2 else None) or self.one_of(which)
        if row is None or len(self.roots) >= INSTANCES + FORKS:
            return
        parts = msgspec.json.decode(row.start_input)["parts"]
        if row.parent_id is not None and any(model.looked(parts)):
            return  # it saw its parent before the step, and has none behind it
        history = forks.history_of(row)
        step = at % (len(history) + 2)  # the first and the last of these are not there
        fork_id = f"fork-{next(self.numbers)}"
        try:
            self.client.fork(row.instance_id, step, fork_id)
        except StepRefused:
            assert forks.is_refused(history, step), f"a fork of {row.instance_id} from step {step} was refused"
            self.saw("refused a fork")
            return
        assert not forks.is_refused(history, step), f"a fork of {row.instance_id} from step {step} was let through"
        self.saw("forked a live one" if row.status in LIVE else "forked an ended one")
        if row.forked_from is not None:
            self.saw("forked a fork")
        self.forks += 1
        self.roots[fork_id] = Root(parts, row.version)
        fork = Instance.objects.get(instance_id=fork_id)
        self.accepted[fork.pk, fork.created_at] = forks.events_before(row, history, step)

    @rule(which=choice, fresh=st.booleans())
    def restart(self, which: int, fresh: bool) -> None:
        """Begin again what has ended, whatever its children do."""
        row = self.one_of(which, instance_id__in=self.roots)
        if row is None or row.status in LIVE or (fresh and len(self.roots) >= INSTANCES):
            return
        restarted = self.client.restart(row.instance_id, restart_with_new_instance_id=fresh)
        root = self.roots[row.instance_id]
        self.roots[restarted] = Root(root.parts, root.version)

    @rule(which=choice, recursive=st.booleans())
    def purge(self, which: int, recursive: bool) -> None:
        row = self.one_of(which)
        if row is not None:
            self._purge(row, recursive)

    @rule(which=choice, worker=workers, recursive=st.booleans())
    def orphan(self, which: int, worker: int, recursive: bool) -> None:
        """A parent is ended, and goes, while a child of it is live."""
        row = self._one_with_children(which)
        if row is not None:
            self.order(row, "terminate", recursive=False)
            self.turn_of(self.workers[worker])
            self._purge(Instance.objects.get(pk=row.pk), recursive)

    # What must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def tables_are_in_order(self) -> None:
        if hasattr(self, "accepted"):
            tables = self.read()
            self.redelivery.remember(tables)
            invariants.check(tables, self.accepted, self.forks)
            for row in tables.instances.values():
                root = self.roots.get(row.instance_id)
                start_at = root.start_at if root is not None and row.started_at is not None else None
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

    def _one_with_children(self, which: int) -> Instance | None:
        """A live one that has live sub-orchestrations."""
        parents = Instance.objects.filter(status__in=LIVE).values("parent_id")
        return self.one_of(which, status__in=LIVE, pk__in=parents)


def _tells(row: Instance) -> bool:
    """Whether it is to send an event to its parent, which would wait for that for ever."""
    return [node[0] for node in msgspec.json.decode(row.start_input or "{}")["parts"]] == ["tell"]
