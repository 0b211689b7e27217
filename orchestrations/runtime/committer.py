"""Writing a batch: in one transaction where the database lets it, and else so that one bad instance fails alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.models import F

from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.failures import FailureDetails
from orchestrations.errors import PayloadNotKept
from orchestrations.models import HistoryEvent as HistoryRow
from orchestrations.models import Instance
from orchestrations.runtime.activity_runs import FinishedActivity
from orchestrations.store.contract import ActivityCompletion, Checkpoint, CommitResult, Store

logger = logging.getLogger("orchestrations.runtime")

RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)  # pauses while the database is away or a deadlock is resolved
SINGLE_RETRY_SECONDS = (0.05,)  # for each of a batch that the database does not take, though it is there
MOST_REFUSED = 3  # ends of activities that the database does not take, before the rest of the batch waits too
MOST_REFUSALS = 10  # of one end, before the activity counts as failed because of it
REFUSED_DELAY = timedelta(seconds=30)  # before an instance that the database refuses is tried again


class Committer:
    """Commits checkpoints and completions through the store.

    ``takes_writes`` says whether the database takes a write of another kind just now.
    """

    def __init__(self, store: Store, takes_writes: Callable[[], bool]) -> None:
        self._store = store
        self._takes_writes = takes_writes

    def commit(self, token: int, checkpoints: Sequence[Checkpoint]) -> CommitResult:
        """Write the batch. Instances in ``lost`` were not written, whatever the reason.

        An answer lost on the way is asked for again: the second try finds each instance either as it was or as the
        first one left it. Raises OperationalError when the database stays away.
        """
        return self._commit(token, checkpoints, RETRY_SECONDS)

    def _commit(
        self, token: int, checkpoints: Sequence[Checkpoint], pauses: Sequence[float], *, was_cut: bool = False
    ) -> CommitResult:
        try:
            return self._commit_patiently(token, checkpoints, pauses, was_cut=was_cut)
        except (DatabaseError, InterfaceError, PayloadNotKept) as error:
            is_cut = isinstance(error, OperationalError | InterfaceError)
            if is_cut and not self._takes_writes():
                raise
            if len(checkpoints) == 1:
                result = self._refused(token, checkpoints[0], error)
                if was_cut or is_cut:
                    result.lost -= self._written_before(checkpoints, result.lost)
                return result
            logger.warning("A batch of %d was refused; writing it one by one: %s", len(checkpoints), error)
        # What one of them runs into each time, such as a time limit or a lock, is not to keep the others waiting.
        pauses = SINGLE_RETRY_SECONDS if is_cut else pauses
        lost: set[int] = set()
        for checkpoint in checkpoints:
            lost |= self._commit(token, [checkpoint], pauses, was_cut=was_cut or is_cut).lost
        return CommitResult(lost)

    def finish(self, token: int, finished: Sequence[FinishedActivity]) -> list[FinishedActivity]:
        """Put the ends of activities into inboxes, and leave those open that are completed from outside.

        Returns those that the database, though it is there, does not take just now, for a time limit or a lock; they
        are in nobody's way. Raises as ``complete`` does; then nothing is lost by giving all of them again.
        """
        try:
            self._finish(token, finished)
        except (OperationalError, InterfaceError) as error:
            self._raise_unless_there(error)
        else:
            return []
        left: list[FinishedActivity] = []
        for position, one in enumerate(finished):
            if len(left) >= MOST_REFUSED:  # it is not about these, so do not wait for each of the others
                return left + list(finished[position:])
            try:
                self._finish(token, [one if one.refusals < MOST_REFUSALS else _given_up(one)])
            except (OperationalError, InterfaceError) as error:
                self._raise_unless_there(error)
                one.refusals += 1
                logger.error("The end of an activity is not taken, and tried again later. key=%s: %s", one.key, error)
                left.append(one)
        return left

    def _raise_unless_there(self, error: Exception) -> None:
        """Raise what a statement met, unless the database is there for others."""
        connections[self._store.using].close()
        if not self._takes_writes():
            raise error

    def _finish(self, token: int, finished: Sequence[FinishedActivity]) -> None:
        if deferred := [one.deferred for one in finished if one.deferred is not None]:
            self._store.defer_activities(token, deferred)
        if ends := _completions(finished):
            self.complete(token, ends)

    def finish_in_transaction(self, token: int, finished: FinishedActivity) -> bool:
        """The same for one, in the transaction that it ran in; False where its work item is gone or another's."""
        if finished.deferred is not None:
            return self._store.defer_activities(token, [finished.deferred]) == 1
        return self._store.complete_activities(token, _completions([finished])) == 1

    def complete(self, token: int, completions: Sequence[ActivityCompletion]) -> None:
        """Put the ends of activities into inboxes. One that the database refuses becomes a failure that says so.

        What is given twice counts once. Raises OperationalError when the database is away; then nothing is lost by
        giving all of them again.
        """
        try:
            self._store.complete_activities(token, completions)
        except (OperationalError, InterfaceError):
            raise
        except (DatabaseError, PayloadNotKept) as error:
            if len(completions) > 1:
                logger.warning("%d completions were refused; writing them singly: %s", len(completions), error)
                for completion in completions:
                    self.complete(token, [completion])
            elif completions[0].event.type is EventType.TASK_COMPLETED:
                logger.error("The result of an activity is refused. key=%s: %s", completions[0].key, error)
                self.complete(token, [_failed(completions[0], error)])
            else:
                raise

    def _commit_patiently(
        self, token: int, checkpoints: Sequence[Checkpoint], pauses: Sequence[float], *, was_cut: bool
    ) -> CommitResult:
        """``was_cut`` where a try before this call may have been written."""
        for pause in (*pauses, None):
            try:
                result = self._store.commit(token, checkpoints)
            except (OperationalError, InterfaceError) as error:
                if pause is None:
                    raise
                logger.warning("A commit will be tried again in %g s: %s", pause, error)
                connections[self._store.using].close()
                was_cut = True
                time.sleep(pause)
                continue
            if was_cut and result.lost:
                result.lost -= self._written_before(checkpoints, result.lost)
            return result
        raise AssertionError("unreachable")

    def _written_before(self, checkpoints: Sequence[Checkpoint], lost: set[int]) -> set[int]:
        """Which of the instances that did not answer stand exactly where our first, unanswered commit put them.

        Whoever holds the lease now may have come as far by other events: by what the activity returned to them.
        """
        rows = Instance.objects.using(self._store.using).filter(pk__in=lost)
        stand = {
            pk: (execution, sequence)
            for pk, execution, sequence in rows.values_list("pk", "execution", "last_sequence")
        }
        there = {c.pk: c for c in checkpoints if stand.get(c.pk) == (c.new_execution, c.new_last_sequence)}
        newest = HistoryRow.objects.using(self._store.using).filter(
            instance_id__in=there, execution=F("instance__execution"), sequence=F("instance__last_sequence")
        )
        last = {pk: event for pk, *event in newest.values_list("instance_id", "type", "timestamp", "task_id")}
        return {pk for pk, checkpoint in there.items() if _ends_with(checkpoint.history, last.get(pk))}

    def _refused(self, token: int, checkpoint: Checkpoint, error: Exception) -> CommitResult:
        logger.error("What instance pk=%s wants to write is refused: %s", checkpoint.pk, error)
        first_line = str(error).partition("\n")[0]
        refuses = "the file storage" if isinstance(error, PayloadNotKept) else "the database"
        reason = f"{refuses} refused its last step: {first_line}"
        self._store.abandon_instances(token, {checkpoint.pk: reason[:300]}, REFUSED_DELAY)
        return CommitResult({checkpoint.pk})


def _ends_with(history: Sequence[HistoryEvent], last: list[object] | None) -> bool:
    """Whether that is its last event: no two workers write one at the same moment."""
    return not history or last == [str(history[-1].type), history[-1].timestamp, history[-1].task_id]


def _completions(finished: Sequence[FinishedActivity]) -> list[ActivityCompletion]:
    return [ActivityCompletion(one.key, one.work.attempt, one.event) for one in finished if one.event is not None]


def _given_up(finished: FinishedActivity) -> FinishedActivity:
    """The end of an activity whose result the database has not taken for minutes."""
    if finished.event is None or finished.event.type is not EventType.TASK_COMPLETED:
        return finished
    reason = RuntimeError(
        f"The database did not take the result of {finished.work.name!r}, however often it was tried."
    )
    return replace(finished, event=_as_failure(finished.event, reason))


def _failed(completion: ActivityCompletion, error: Exception) -> ActivityCompletion:
    return replace(completion, event=_as_failure(completion.event, error))


def _as_failure(event: HistoryEvent, error: Exception) -> HistoryEvent:
    payload = msgspec.json.encode(FailureDetails.from_exception(error).to_json()).decode()
    return replace(event, type=EventType.TASK_FAILED, payload=payload)
