"""The part of a store that is the same on every database.

What every worker does all the time is a flow over the operations of ``tables``; what is rare is plain ORM.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, Value, When

from orchestrations.core.events import EventType
from orchestrations.limits import BUILD_LENGTH
from orchestrations.models import ActivityWorkItem, InboxMessage, Instance, RaisedEventKey, WorkerLease
from orchestrations.store import (
    chores,
    commit,
    counting,
    dead_letters,
    entities,
    forks,
    hub_deletion,
    large_payloads,
    leases,
    messages,
    progress,
    rows,
    starts,
    tags,
)
from orchestrations.store.contract import (
    CLAIMED_BESIDES,
    ActivityCompletion,
    ActivityKey,
    Checkpoint,
    Claim,
    ClaimedActivity,
    ClaimedInstance,
    CommitResult,
    Created,
    EntityRecord,
    InboxEvent,
    LoadedHistory,
    Message,
    NewInstance,
    OnDuplicate,
    RunsOn,
    Store,
)
from orchestrations.store.fork_contract import NewFork
from orchestrations.store.lease_contract import Recovery
from orchestrations.store.locking import in_order, skip_locked
from orchestrations.store.outbox_contract import NewDeadLetter
from orchestrations.store.progress_contract import ActivityAttempt, DeferredActivity, Heartbeat
from orchestrations.store.tables import BATCH, Tables, chunks
from orchestrations.store.upkeep_contract import Counted, EndedInstance, Place, Run

WINDOW = 4  # messages looked at for each instance wanted: most instances have one or two


@dataclass(slots=True)
class Taken:
    """Instances whose lease was just taken, without their messages.

    ``were_free`` has those that the same token did not hold before.
    """

    now: datetime
    instances: dict[int, ClaimedInstance]
    were_free: set[int]


class ComposedStore(Store):
    """All but the statements that take and load rows, which are each database's own."""

    tables: Tables

    def now(self) -> datetime:
        return self.tables.now()

    def notify_workers(self) -> None:
        """Do nothing: where the database can't notify, workers poll."""

    # Clients -----------------------------------------------------------------------------------------------------

    def create_instances(
        self, instances: Sequence[NewInstance], on_duplicate: OnDuplicate = OnDuplicate.REPLACE_TERMINAL
    ) -> list[Created]:
        return starts.create_instances(self.tables, large_payloads.kept_instances(self.hub, instances), on_duplicate)

    def create_fork(self, fork: NewFork) -> Created:
        return forks.create_fork(self.tables, large_payloads.kept_fork(self.hub, fork))

    def send(self, messages: Sequence[Message]) -> int:
        kept = large_payloads.kept_messages(self.hub, messages)
        with nullcontext() if kept is messages else self.tables.atomic():
            return self._send(kept)

    def _send(self, sent: Sequence[Message]) -> int:
        return messages.send(self.tables, sent)

    def find_status(self, instance_id: str) -> str | None:
        found = Instance.objects.using(self.using).filter(hub=self.hub, instance_id=instance_id)
        return found.values_list("status", flat=True).first()

    def purge(self, pks: Collection[int]) -> int:
        purged = 0
        for batch in chunks(sorted(pks), BATCH):
            with self.tables.atomic():
                ended = self.tables.lock_ended(batch)
                starts.forget(self.tables, ended)
                if ended:
                    counting.keep_ends(self.tables, Instance.objects.filter(pk__in=ended))
                    self.tables.delete(Instance, ("id",), [(pk,) for pk in ended])
            purged += len(ended)
        return purged

    def change_tags(self, pks: Collection[int], changes: Mapping[str, str | None], limit: int) -> set[int]:
        return tags.change(self.tables, pks, changes, limit)

    def forget_event_keys(self, age: timedelta) -> int:
        before, forgotten = self.tables.now() - age, 0
        while True:
            with self.tables.atomic():
                old = RaisedEventKey.objects.using(self.using).filter(raised_at__lt=before).order_by("pk")
                batch = list(skip_locked(old).values_list("pk", flat=True)[:BATCH])
                RaisedEventKey.objects.using(self.using).filter(pk__in=batch).delete()
            forgotten += len(batch)
            if len(batch) < BATCH:
                return forgotten

    def look_at_ended(
        self, before: datetime, after: Place | None, limit: int, *, status: str = "", name: str = ""
    ) -> list[EndedInstance]:
        return chores.look_at_ended(self.tables, before, after, limit, status=status, name=name)

    def count_ends(self, status: str, before: datetime, limit: int) -> Counted:
        return counting.count_ends(self.tables, status, before, limit)

    def drop_old_counts(self, limit: int) -> int:
        return counting.drop_old_counts(self.tables, limit)

    def take_chore(self, name: str, duration: timedelta) -> bool:
        return chores.take(self.tables, name, duration)

    def finish_chore(self, name: str, pause: timedelta, run: Run | None = None) -> None:
        chores.finish(self.tables, name, pause, run)

    def keep_dead_letters(self, dead: Sequence[NewDeadLetter]) -> None:
        dead_letters.record(self.tables, dead)

    def forget_dead_letters(self, age: timedelta) -> int:
        return dead_letters.forget(self.tables, age)

    def sweep_strays(self, age: timedelta, part: int | None = None) -> int:
        return large_payloads.sweep_strays(self.tables, age, part)

    def delete_instances(self, limit: int) -> int:
        return hub_deletion.delete_instances(self.tables, limit)

    def delete_belongings(self, limit: int) -> int:
        return hub_deletion.delete_belongings(self.tables, limit)

    def remove_entities(self, pks: Collection[int]) -> int:
        return entities.remove(self.tables, pks)

    # Workers -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _take_instances(self, token: int, limit: int) -> Taken:
        """Take leases of instances with something to do: those tried least first, then those that wait longest.

        One transaction of its own: a worker that dies right after it is found out by its lease and the attempt.
        """

    @abstractmethod
    def _load_messages(self, claimed: Collection[ClaimedInstance], limit: int) -> list[tuple[int, InboxEvent]]:
        """The messages that these instances are to take with the instance of each, oldest first.

        In this order a limit never cuts an earlier message of an instance. The statement begins after the leases are
        taken, so that it can't see what an earlier holder has just consumed.
        """

    @abstractmethod
    def _load_history(self, executions: Mapping[int, int]) -> dict[int, LoadedHistory]:
        """What the columns have of the input and history of each {instance pk: execution}."""

    @abstractmethod
    def _take_activities(self, token: int, room: Mapping[str, int]) -> list[int]:
        """Take as many free, visible work items of each kind, the oldest first, in a transaction; their primary keys.

        There is room for at least one of each.
        """

    @abstractmethod
    def _load_activities(self, pks: Collection[int]) -> list[ClaimedActivity]:
        """What it takes to run these work items, the oldest first."""

    def claim_instances(self, token: int, limit: int, message_limit: int = 5_000) -> Claim:
        taken = self._take_instances(token, limit)
        claimed = taken.instances
        loaded = self._load_messages(claimed.values(), message_limit) if claimed else []
        if len(loaded) >= message_limit:
            loaded += self._terminations_behind(loaded[-1][1].pk, claimed)
        large_payloads.read_messages(message for _, message in loaded)
        for pk, message in loaded:
            claimed[pk].messages.append(message)
        idle = {pk for pk, instance in claimed.items() if not instance.begins and not instance.messages}
        self._give_back(token, idle & taken.were_free, attempts=F("attempts") - 1)
        more = len(claimed) >= limit or len(loaded) >= min(limit * WINDOW, message_limit)
        return Claim(taken.now, [instance for pk, instance in claimed.items() if pk not in idle], more)

    def _terminations_behind(self, pk: int, owners: Collection[int]) -> list[tuple[int, InboxEvent]]:
        """Terminations behind that message: nothing may stand in their way, be it thousands that nobody can take."""
        inbox = InboxMessage.objects.using(self.using)
        behind = inbox.filter(instance_id__in=owners, type=EventType.EXECUTION_TERMINATED, pk__gt=pk).order_by("pk")
        columns = ("type", "created_at", "task_id", "name", "payload", "attempt", "attributes")
        found = behind.values_list("instance_id", "pk", "execution", *columns)
        return [(owner, InboxEvent(pk, execution, *rows.event_from(*event))) for owner, pk, execution, *event in found]

    def claim_activities(self, token: int, on_threads: int, on_loop: int = 0) -> list[ClaimedActivity]:
        room = {RunsOn.THREAD: on_threads, RunsOn.LOOP: on_loop, RunsOn.NOTHING: CLAIMED_BESIDES}
        taken = self._take_activities(token, {kind.value: number for kind, number in room.items() if number > 0})
        return large_payloads.read_activities(self._load_activities(taken)) if taken else []

    def load_history(self, executions: Mapping[int, int]) -> dict[int, LoadedHistory]:
        return large_payloads.read_histories(self._load_history(executions))

    def load_entities(self, pks: Collection[int]) -> dict[int, EntityRecord]:
        return large_payloads.read_entities(entities.load(self.using, pks))

    def commit(self, token: int, checkpoints: Sequence[Checkpoint]) -> CommitResult:
        return commit.commit(self.tables, token, large_payloads.kept_checkpoints(self.hub, checkpoints))

    def complete_activities(self, token: int, completions: Sequence[ActivityCompletion]) -> int:
        if not completions:
            return 0
        completions = large_payloads.kept_completions(self.hub, completions)
        with self.tables.atomic():
            taken = self.tables.take_completed(token, completions)
            accepted = []
            for completion in completions:
                key = completion.key
                identity = (key.instance_pk, key.execution, key.task_id)
                if identity in taken:
                    taken.discard(identity)  # a second completion of one item in the same call is one too many
                    accepted.append(Message(completion.event, key.instance_pk, execution=key.execution))
            return self._send(accepted)

    def release_instances(self, token: int, pks: Collection[int]) -> None:
        self._give_back(token, pks)

    def _give_back(self, token: int, pks: Collection[int], **changes: Any) -> list[int]:
        """Free those that ``token`` still holds, with these changes, and return them."""
        return self._change_held(token, pks, lease_token=None, **changes)

    def _change_held(self, token: int, pks: Collection[int], **changes: Any) -> list[int]:
        changed = []
        for batch in chunks(sorted(pks), BATCH):
            with self.tables.atomic():
                held = Instance.objects.using(self.using).filter(hub=self.hub, lease_token=token, pk__in=batch)
                locked = in_order(held)
                held.filter(pk__in=locked).update(**changes)
            changed += locked
        return changed

    def count_attempts(self, token: int, pks: Collection[int], by: int) -> None:
        self._change_held(token, pks, attempts=F("attempts") + by)

    def abandon_instances(self, token: int, reasons: Mapping[int, str], delay: timedelta) -> None:
        alike: dict[str, list[int]] = defaultdict(list)
        for pk in sorted(reasons):
            alike[rows.line("waiting_for", reasons[pk])].append(pk)
        with self.tables.atomic():
            later = self.tables.now() + delay
            for reason, pks in alike.items():
                held = self._give_back(
                    token,
                    pks,
                    waiting_for=reason,
                    attempts=leases.one_less("attempts"),  # nobody died of it
                    claimable_at=Case(When(claimable_at__lt=later, then=Value(later)), default=F("claimable_at")),
                )
                for batch in chunks(held, BATCH):
                    inbox = InboxMessage.objects.using(self.using).filter(instance_id__in=batch)
                    inbox.filter(visible_at__lt=later).update(visible_at=later)

    def drop_messages(self, token: int, messages: Mapping[int, Collection[int]]) -> None:
        with self.tables.atomic():
            held = self._give_back(token, messages, attempts=0)
            if dropped := [(row,) for pk in held for row in sorted(messages[pk])]:
                self.tables.delete(InboxMessage, ("id",), dropped)

    def detach_activities(
        self,
        token: int,
        keys: Collection[ActivityKey],
        delay: timedelta = timedelta(),
        runs_on: str | None = None,
    ) -> None:
        by_execution: dict[tuple[int, int], list[int]] = defaultdict(list)
        known = {} if runs_on is None else {"runs_on": runs_on}
        for key in keys:
            by_execution[key.instance_pk, key.execution].append(key.task_id)
        with self.tables.atomic():
            visible_at = self.tables.now() + delay
            for (pk, execution), task_ids in sorted(by_execution.items()):
                for batch in chunks(sorted(task_ids), BATCH):
                    held = ActivityWorkItem.objects.using(self.using).filter(
                        instance_id=pk, execution=execution, task_id__in=batch, lease_token=token
                    )
                    held.filter(pk__in=in_order(held)).update(
                        lease_token=None,
                        dispatches=F("dispatches") - 1,
                        started_at=None,
                        visible_at=visible_at,
                        **known,
                    )

    # Activities that take long -----------------------------------------------------------------------------------

    def record_heartbeats(self, token: int, heartbeats: Sequence[Heartbeat]) -> set[ActivityAttempt]:
        return progress.record_heartbeats(self.tables, token, heartbeats)

    def defer_activities(self, token: int, deferred: Sequence[DeferredActivity]) -> int:
        return progress.defer(self.tables, token, deferred)

    def renew_deferred(self, heartbeat: Heartbeat, silence: timedelta | None) -> bool:
        return progress.renew_deferred(self.tables, heartbeat, silence)

    def hasten(self, instance_pk: int, execution: int, task_id: int, *, retry: bool) -> bool:
        return progress.hasten(self.tables, instance_pk, execution, task_id, retry=retry)

    # Leases ------------------------------------------------------------------------------------------------------

    def open_lease(
        self, worker: str, host: str, pid: int, duration: timedelta, capacity: int, functions: str, build: str = ""
    ) -> int:
        lease = WorkerLease.objects.using(self.using).create(
            hub=self.hub,
            worker=worker,
            host=host,
            pid=pid,
            expires_at=self.now() + duration,
            capacity=capacity,
            functions=functions,
            build=build[:BUILD_LENGTH],
        )
        return lease.token

    def renew_lease(self, token: int, duration: timedelta, in_flight: int) -> bool:
        return leases.renew(self.using, token, self.now() + duration, in_flight)

    def disown(self, token: int, keep: Collection[ActivityKey]) -> None:
        leases.disown(self.hub, self.using, token, keep, self.now())

    def close_lease(self, token: int) -> None:
        leases.close(self.hub, self.using, token, self.now())

    def recover(self) -> Recovery:
        return leases.recover(self.hub, self.using, self.now())
