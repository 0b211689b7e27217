"""The drain loop: claim what is ready, advance it, commit it as a group, start its activities, and again.

A wake-up is only a hint to call ``drain``. The tables are the truth, so a drain that is called for nothing, twice or
late does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from orchestrations.conf import get_config
from orchestrations.core.events import HistoryEvent
from orchestrations.core.failures import message_of
from orchestrations.core.interruptions import EpisodeTimeout
from orchestrations.core.status import RuntimeStatus
from orchestrations.runtime.activities import ActivityPool
from orchestrations.runtime.activity_runs import FinishedActivity
from orchestrations.runtime.announcing import Announcer
from orchestrations.runtime.cache import OrchestratorCache
from orchestrations.runtime.checkpoints import CheckpointBuilder
from orchestrations.runtime.chores import Chores
from orchestrations.runtime.clock import DatabaseClock
from orchestrations.runtime.code import lacks_code
from orchestrations.runtime.committer import Committer
from orchestrations.runtime.entities import advance_entity, entity_checkpoint
from orchestrations.runtime.instances import (
    SUSPICIOUS_ATTEMPTS,
    Advance,
    HeldInstance,
    advance_instance,
    needs_history,
    wait_ids,
)
from orchestrations.runtime.intake import ActivityIntake
from orchestrations.runtime.lease import LeaseKeeper, worker_name
from orchestrations.runtime.live_workers import LiveWorkers
from orchestrations.runtime.rewinding import advance_ended
from orchestrations.store import get_store
from orchestrations.store.contract import (
    Checkpoint,
    ClaimedActivity,
    ClaimedInstance,
    EntityRecord,
    InboxEvent,
    LoadedHistory,
    RunsOn,
    Store,
)

logger = logging.getLogger("orchestrations.runtime")

CLAIM_SECONDS = 0.02  # while local activities keep the loop busy, the inbox is looked at this often
TIMER_SECONDS = 0.1  # due timers are looked for this often in a long drain
LONGEST_DRAIN_SECONDS = 30.0  # even if nobody else wants the worker
WAIT_SECONDS = 0.05  # longest wait for a local activity before looking at the inbox again
UNKNOWN_CODE_DELAY = timedelta(seconds=10)
OTHERS_CODE_DELAY = timedelta(seconds=1)  # where another live worker has the code


class Runtime:
    """One worker process's engine: its lease, its activity pool, its orchestrators in memory."""

    def __init__(
        self,
        store: Store | None = None,
        chores: Chores | None = None,
        make_pool: Callable[..., ActivityPool] = ActivityPool,
    ) -> None:
        self.config = get_config()
        self.store = store or get_store()
        self.pool = make_pool(
            self.config.activity_threads,
            self.config.activity_timeout_seconds,
            worker_name(),
            self._record_in_transaction,
            self.store.hub,
            self.config.async_activities,
        )
        self.workers = LiveWorkers(self.store)
        self.intake = ActivityIntake(self.store, self.pool, self.workers, self.config)
        self.cache = OrchestratorCache(self.config.cache_size)
        self.lease = LeaseKeeper(self.store, self.pool, self._flush_detached)
        self._committer = Committer(self.store, self.lease.takes_heartbeat)
        self.chores = chores or Chores(self.store)
        self.announcer = Announcer(self.store)
        self._clock = DatabaseClock(self.store.now())
        self._held: dict[int, HeldInstance] = {}
        self._collected: list[FinishedActivity] = []  # by the present turn
        self._in_hand: dict[int, list[FinishedActivity]] = {}  # being recorded by threads beside the loop, by id()
        self._is_doubtful = False  # whether the lease may hold what this worker does not know of
        self._settling = threading.Lock()
        self._stopping = threading.Event()
        self._is_draining = False
        self._claimed_at = self._timers_at = 0.0
        self._found_instances = self._made_timers = False

    # The drain ---------------------------------------------------------------------------------------------------

    def drain(self, seconds: float, gives_way: Callable[[], bool] = lambda: True) -> None:
        """Work until there is nothing to do, or for about that long; then let go of what is still running here.

        When the time is over and ``gives_way()`` is False, it goes on: letting go costs the next worker a replay.
        Activities that run on are completed by their own threads. Raises DatabaseError when the database stays away.
        """
        began = time.monotonic()
        self.pool.on_detached = None
        self._is_draining = True
        self._claimed_at = self._timers_at = 0.0
        self.intake.hurry()
        try:
            while not self._stopping.is_set():
                worked = self.turn()
                elapsed = time.monotonic() - began
                if elapsed >= LONGEST_DRAIN_SECONDS or (elapsed >= seconds and gives_way()):
                    break
                if not worked:
                    if not (self.pool.is_busy or self.intake.has_suspects):
                        break
                    self.pool.wait(WAIT_SECONDS)
            self._is_draining = False
            self._park()
            self.chores.run()
            self.announcer.courier.look()
        except (OperationalError, InterfaceError):
            self._is_draining = False
            self._let_go()
            raise
        except BaseException:  # a defect: what is in memory is not to be trusted, so begin anew with another lease
            self._is_draining = False
            self._reset()
            raise

    def turn(self) -> bool:
        """Once round the loop; False where there was nothing to do."""
        if self.lease.is_lost:
            self._reset()
            self.lease.ensure()
        self._settle_doubt()
        token = self.lease.token
        local = self._collect_finished(token)
        is_alone = self.intake.run_suspect()
        claimed = [] if is_alone else self._claim_instances(token, bool(local))
        worked = self._advance(token, claimed, local)
        fired = self._fire_timers()  # after what is ready: an answer that somebody waits for comes first
        taken = not is_alone and self.intake.claim(token, self._held, self._clock.now())
        return taken or worked or fired or bool(local)

    def stop(self) -> None:
        """End the present drain soon, wait for running activities a while, and free everything."""
        self._stopping.set()
        self.pool.wake()
        self.pool.close(self.config.stop_seconds)
        self._flush_detached()
        self.lease.close()
        self.pool.give_up()
        self.announcer.stop()
        self.cache.clear()
        self.chores.close()

    # Parts of a turn ---------------------------------------------------------------------------------------------

    def _fire_timers(self) -> bool:
        """Fire due timers now and then; whether there were any."""
        now = time.monotonic()
        if now - self._timers_at < TIMER_SECONDS:
            return False
        self._timers_at = now
        if not self.store.fire_timers():
            return False
        self._timers_at = 0.0
        self._found_instances = True
        return True

    def _collect_finished(self, token: int) -> dict[int, list[FinishedActivity]]:
        """Ends of activities by held instance. Those of other instances are put into their inboxes at once."""
        local: dict[int, list[FinishedActivity]] = {}
        elsewhere: list[FinishedActivity] = []
        self._collected = self.pool.take_finished()
        for finished in self._collected:
            work = finished.work
            held = self._held.get(work.instance_pk)
            # Task ids begin anew with each execution, and an earlier one's activity may still have been running.
            is_ours = held is not None and held.claimed.execution == work.execution and work.task_id in held.in_flight
            if held is not None and is_ours:
                held.in_flight.discard(work.task_id)
            if finished.recorded:
                self._found_instances = True
            elif is_ours and finished.event is not None and not finished.is_doubtful:
                local.setdefault(work.instance_pk, []).append(finished)
            else:
                elsewhere.append(finished)
        if elsewhere:
            self.pool.postpone(self._committer.finish(token, elsewhere))
            self._found_instances = True
        return local

    def _claim_instances(self, token: int, has_local: bool) -> list[ClaimedInstance]:
        now = time.monotonic()
        has_work = has_local or self.pool.is_busy
        if has_work and not self._found_instances and now - self._claimed_at < CLAIM_SECONDS:
            return []
        claim = self.store.claim_instances(token, self.config.batch_size)
        self._clock.set(claim.now)
        self._claimed_at = now
        self._found_instances = bool(claim.instances)
        if claim.more:
            self.store.notify_workers()
        return claim.instances

    def _advance(
        self, token: int, claimed: Sequence[ClaimedInstance], local: dict[int, list[FinishedActivity]]
    ) -> bool:
        """Advance and commit: first all together, then one by one those on which workers have died before."""
        batch: list[tuple[HeldInstance, list[InboxEvent]]] = []
        suspicious: list[tuple[HeldInstance, list[InboxEvent]]] = []
        for instance in claimed:
            held = self._held.get(instance.pk)
            if held is None:
                held = self._held[instance.pk] = HeldInstance(instance)
                held.execution = self.cache.take(instance.pk, instance.execution, instance.last_sequence)
                if held.execution is not None:
                    held.recorded_waits = wait_ids(held.execution)
            chosen = suspicious if instance.attempts >= SUSPICIOUS_ATTEMPTS else batch
            chosen.append((held, instance.messages))
        seen = {instance.pk for instance in claimed}
        batch += [(self._held[pk], []) for pk in local if pk not in seen]
        if suspicious:  # a death is counted against the one whose turn it was, and against no other
            self.store.count_attempts(token, [held.pk for held, _ in suspicious], -1)
        if batch:
            self._commit(token, batch, local)
        for held, messages in suspicious:
            self.store.count_attempts(token, [held.pk], 1)
            self._commit(token, [(held, messages)], local)
        return bool(batch or suspicious)

    def _commit(
        self,
        token: int,
        batch: Sequence[tuple[HeldInstance, list[InboxEvent]]],
        local: dict[int, list[FinishedActivity]],
    ) -> None:
        """Advance the batch, write it, and start what it scheduled here."""
        missing = {held.pk: held.claimed.execution for held, messages in batch if needs_history(held, messages)}
        histories = self.store.load_history(missing) if missing else {}
        entities = [held.pk for held, _ in batch if held.is_entity]
        records = self.store.load_entities(entities) if entities else {}
        now = self._clock.now()
        builder = CheckpointBuilder(self.pool, self.workers, now, self.announcer.note)
        written: list[tuple[HeldInstance, Checkpoint, list[ClaimedActivity]]] = []
        abandoned: dict[int, str] = {}
        dropped: dict[int, list[int]] = {}
        for held, messages in batch:
            events = [finished.event for finished in local.get(held.pk, ()) if finished.event is not None]
            loaded = histories.get(held.pk) or records.get(held.pk)
            advance, built = self._advance_one(held, messages, events, loaded, builder, now)
            if built is not None:
                written.append((held, *built))
            elif advance.is_idle:
                dropped[held.pk] = advance.consumed
            else:
                abandoned[held.pk] = advance.abandon_reason
        lost: set[int] = set()
        if written:
            lost = self._committer.commit(token, [checkpoint for _, checkpoint, _ in written]).lost
            for held, checkpoint, activities in written:
                self._settle(held, checkpoint, activities, is_lost=held.pk in lost)
        unwritten = [finished for pk in (*lost, *abandoned, *dropped) for finished in local.get(pk, ())]
        if unwritten:  # the instance learns of them when it is next taken up, here or elsewhere
            self.pool.postpone(self._committer.finish(token, unwritten))
        if abandoned:
            self._abandon(token, abandoned)
        if dropped:
            self.store.drop_messages(token, dropped)
        for pk in [*abandoned, *dropped]:
            self._forget(pk)

    def _abandon(self, token: int, reasons: dict[int, str]) -> None:
        """Leave instances to others, sooner where a live worker has the code that this one lacks."""
        alike: dict[timedelta, dict[int, str]] = {}
        for pk, reason in reasons.items():
            claimed = self._held[pk].claimed
            is_elsewhere = lacks_code(claimed) and self.workers.have_code(claimed)
            alike.setdefault(OTHERS_CODE_DELAY if is_elsewhere else UNKNOWN_CODE_DELAY, {})[pk] = reason
        for delay, chosen in alike.items():
            self.store.abandon_instances(token, chosen, delay)

    def _advance_one(
        self,
        held: HeldInstance,
        messages: Sequence[InboxEvent],
        events: Sequence[HistoryEvent],
        loaded: LoadedHistory | EntityRecord | None,
        builder: CheckpointBuilder,
        now: datetime,
    ) -> tuple[Advance, tuple[Checkpoint, list[ClaimedActivity]] | None]:
        """What became of it, with what to write and to run, unless there is nothing to write."""
        instance_id = held.claimed.instance_id
        try:
            if held.is_entity:  # each of its operations is an episode of its own
                return self._advance_entity(held, messages, loaded, now)
            assert loaded is None or isinstance(loaded, LoadedHistory)
            with self.lease.episode(instance_id):
                if RuntimeStatus(held.claimed.status).is_terminal:
                    advance = advance_ended(held, messages, loaded, now)
                else:
                    advance = advance_instance(held, messages, events, loaded, now)
            return advance, None if advance.is_idle or advance.abandon_reason else builder.build(advance)
        except (OperationalError, InterfaceError):
            raise
        # The dispatcher's edge: a defect of the engine or a replay that takes too long holds up one instance, not all.
        except (Exception, EpisodeTimeout) as error:
            logger.exception("Advancing an instance failed. instance=%s", instance_id)
            reason = f"the engine failed on it: {type(error).__name__}: {message_of(error)}"[:300]
            return Advance(held, abandon_reason=reason), None

    def _advance_entity(
        self, held: HeldInstance, messages: Sequence[InboxEvent], loaded: object, now: datetime
    ) -> tuple[Advance, tuple[Checkpoint, list[ClaimedActivity]] | None]:
        record = loaded if isinstance(loaded, EntityRecord) else None
        bounded = partial(self.lease.episode, held.claimed.instance_id)
        advance = advance_entity(held, messages, record, now, bounded)
        return advance, None if advance.entity is None else (entity_checkpoint(advance, advance.entity, now), [])

    def _settle(
        self, held: HeldInstance, checkpoint: Checkpoint, activities: Sequence[ClaimedActivity], *, is_lost: bool
    ) -> None:
        """Bring memory in line with what was written."""
        claimed, execution = held.claimed, held.execution
        if is_lost:
            logger.warning("Lost the lease of an instance; nothing was written. instance=%s", claimed.instance_id)
            self._forget(held.pk)
            return
        self.announcer.announce(checkpoint)
        if ended := held.in_flight.intersection(checkpoint.ended_activities):  # from outside, while they run here
            held.in_flight -= ended
            self.pool.cancel_tasks(held.pk, checkpoint.execution, ended)
        for activity in activities:
            held.in_flight.add(activity.task_id)
            self.pool.submit(activity)
        self._made_timers = self._made_timers or bool(checkpoint.timers)
        self._found_instances = self._found_instances or bool(
            checkpoint.children or checkpoint.messages or checkpoint.claimable_at or checkpoint.entity
        )
        self.intake.expect(item.runs_on for item in checkpoint.work_items if not item.held)
        if checkpoint.ends_execution and not checkpoint.keeps_activities and held.in_flight:
            self.pool.cancel_execution(held.pk, checkpoint.execution)
        if execution is None or execution.completion is not None or checkpoint.completed_at is not None:
            self._forget(held.pk)
        elif checkpoint.release:
            del self._held[held.pk]
            self.cache.put(held.pk, execution)
        else:
            claimed.execution, claimed.last_sequence = checkpoint.new_execution, checkpoint.new_last_sequence
            claimed.status, claimed.custom_status = str(checkpoint.status), checkpoint.custom_status
            claimed.begins, claimed.attempts = False, 0
            held.recorded_waits = wait_ids(execution)

    def _forget(self, pk: int) -> None:
        if (held := self._held.pop(pk, None)) is not None and held.execution is not None:
            held.execution.discard()

    # Between drains ----------------------------------------------------------------------------------------------

    def _park(self) -> None:
        """Give back what has not begun; let what runs complete itself."""
        if self.lease.is_lost:
            return
        token = self.lease.token
        unstarted = self.intake.take_unstarted()
        if unstarted:
            self.store.detach_activities(token, unstarted)
        if self._held:
            self.store.release_instances(token, list(self._held))
            for pk, held in self._held.items():
                if held.execution is not None:
                    self.cache.put(pk, held.execution)
            self._held.clear()
        self.pool.on_detached = self._on_detached
        self._flush_detached()
        if unstarted or self._made_timers:
            self._made_timers = False
            self.store.notify_workers()

    def _on_detached(self) -> None:
        """Record the end of an activity on the thread that ran it, unless that is an event loop's: no ORM there."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._flush_detached()
        else:
            self.lease.hurry()

    def _flush_detached(self) -> None:
        """Put the ends of activities that no drain collects into their instances' inboxes."""
        if self._is_draining or self.lease.is_lost:
            return
        finished: list[FinishedActivity] = []
        try:
            self._settle_doubt()
            with self._settling:  # to whoever settles a doubt, they are in the pool or in hand
                finished = self.pool.take_finished()
                self._in_hand[id(finished)] = finished
            if unrecorded := [one for one in finished if not one.recorded]:
                self.pool.postpone(self._committer.finish(self.lease.token, unrecorded))
            if finished:
                self.store.notify_workers()
        except Exception:  # the edge of the process: a result that is lost here would never be noticed
            logger.exception("Could not record %d finished activities; trying again.", len(finished))
            connections[self.store.using].close()
            self.pool.put_back(finished)
        finally:
            self._in_hand.pop(id(finished), None)

    def _record_in_transaction(self, finished: FinishedActivity) -> bool:
        """Record a transactional activity's end in the transaction that it ran in."""
        return self._committer.finish_in_transaction(self.lease.token, finished)

    def _let_go(self) -> None:
        """The database did not answer: let what runs go on, and forget what may differ from what is written."""
        connections[self.store.using].close()
        self.intake.take_unstarted()
        self.pool.put_back(self._collected)  # an end that was written all the same finds its work item gone
        self._collected = []
        self._is_doubtful = True  # last: another thread may settle it at once, and must find all that is here
        for pk in list(self._held):
            self._forget(pk)
        self.pool.on_detached = self._on_detached

    def _settle_doubt(self) -> None:
        """Once the database answers again, free what this worker's lease holds without its knowing."""
        if self._is_doubtful:
            with self._settling:
                if self._is_doubtful:
                    in_hand = [one.key for finished in list(self._in_hand.values()) for one in finished]
                    self.store.disown(self.lease.token, in_hand + self.pool.keys())
                    self._is_doubtful = False
                    self.store.notify_workers()

    def _reset(self) -> None:
        """Forget everything that belongs to a lease which is lost, or of which nothing is certain."""
        self._is_doubtful = False
        self._collected = []
        self.intake.take_unstarted()
        self.pool.abandon_all()
        self._found_instances = True  # what is given up here is work for whoever comes first
        self.intake.expect(RunsOn)
        for pk in list(self._held):
            self._forget(pk)
        if not self.lease.is_lost:
            self.lease.is_lost = True
            with contextlib.suppress(DatabaseError, InterfaceError):
                connections[self.store.using].close()
                self.store.close_lease(self.lease.token)
