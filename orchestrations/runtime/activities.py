"""The activity pool: runs activities beside the drain loop, ordinary ones on threads, async ones on an event loop.

It knows nothing of instances. What ends is collected with ``take_finished`` by the loop, or, while no drain is running,
handed to ``on_detached`` by the thread that ran it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, close_old_connections, connections, transaction

from orchestrations.authoring.activities import ActivityDefinition, Deferral
from orchestrations.authoring.registry import registry
from orchestrations.conf import get_config
from orchestrations.core.failures import FailureDetails
from orchestrations.errors import FunctionNotRegistered
from orchestrations.runtime.activity_runs import (
    Durations,
    Ends,
    FinishedActivity,
    Recorder,
    RunningActivity,
    call,
)
from orchestrations.runtime.child_processes import ChildProcesses
from orchestrations.store.contract import ActivityKey, ClaimedActivity, RunsOn

logger = logging.getLogger("orchestrations.activities")

BACKLOG_SECONDS = 0.1  # work queued in this process; what would wait longer is left for others to take
UNKNOWN_SECONDS = 0.05  # taken as the duration of an activity that this process has not run yet
MOST_QUEUED = 512  # however quick they are
LONGEST_POSTPONED = 30.0  # between two tries to record what the database does not take
SMOOTHING = 0.2  # weight of the newest duration in the running average


class NotRecorded(Exception):
    """The work item is gone or another's, so that what a transactional activity wrote must be undone."""


class ActivityPool:
    """At most ``threads`` ordinary activities at a time; those that never return are replaced by new threads.

    Beside them at most ``async_activities`` on the event loop, which need no thread.
    """

    def __init__(
        self,
        threads: int,
        timeout_seconds: float,
        worker: str,
        record: Recorder,
        hub: str = "default",
        async_activities: int = 500,
    ) -> None:
        self.threads = threads
        self.async_activities = async_activities
        self._timeout_seconds = timeout_seconds  # of activities that have none of their own
        self._ends = Ends(worker)
        self._hub = hub
        self._children = ChildProcesses()
        self._record = record  # records a transactional activity's end inside its transaction; False if refused
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._ready = threading.Condition(self._lock)
        self._queue: deque[RunningActivity] = deque()
        self._running: dict[int, RunningActivity] = {}  # by id()
        self._running_async = 0
        self._finished: deque[FinishedActivity] = deque()
        self._postponed: list[tuple[float, FinishedActivity]] = []  # by time.monotonic()
        self._durations = Durations(UNKNOWN_SECONDS, SMOOTHING)
        self._alive = 0
        self._started: set[threading.Thread] = set()
        self._idle = 0
        self._backlog = 0.0
        self._slow = 0  # threads whose activity has run for longer than what may wait for it should
        self._is_closed = False
        self.is_reserved = False  # nothing may start beside what runs now
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_detached: Callable[[], None] | None = None

    # For the loop ------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Activities submitted and not yet ended."""
        return len(self._queue) + len(self._running)

    @property
    def capacity(self) -> int:
        """How many can run at a time. The places for asynchronous ones count where the site has such activities."""
        has_async = any(self.runs_async(name) for name in registry.activities())
        return self.threads + (self.async_activities if has_async else 0)

    @property
    def is_busy(self) -> bool:
        """Whether anything runs, waits to run, or has ended and is not yet collected."""
        with self._lock:
            return bool(self._queue or self._running or self._finished)

    def runs_async(self, name: str) -> bool:
        """Whether activities of that name run on the event loop. Raises FunctionNotRegistered."""
        definition = registry.activity(name)
        return definition.is_async and not definition.process

    def runs_on(self, name: str) -> RunsOn:
        """What activities of that name need here. Raises FunctionNotRegistered."""
        return RunsOn.LOOP if self.runs_async(name) else RunsOn.THREAD

    def has_room(self, name: str, planned: int = 0, planned_seconds: float = 0.0) -> bool:
        """Whether an activity of that name would start soon here.

        On top of those that are about to be submitted and run as it does, on threads or on the event loop.
        """
        if self.is_reserved:
            return False
        if self.runs_async(name):
            return self._running_async + planned < self.async_activities
        on_threads = self._on_threads + planned
        if on_threads < self.threads:
            return True
        backlog = self._backlog + planned_seconds + self._durations.expected(name)
        quick = self.threads - self._slow
        return backlog < BACKLOG_SECONDS * quick and on_threads < MOST_QUEUED

    @property
    def room(self) -> dict[RunsOn, int]:
        """How many activities of average length could be taken now and still start soon, by what they need."""
        known = self._durations.seconds.values()
        average = max(sum(known) / len(known) if known else UNKNOWN_SECONDS, 0.0001)
        quick = self.threads - self._slow
        on_threads = min(MOST_QUEUED, int(quick * (1 + BACKLOG_SECONDS / average))) - (self._on_threads - self._slow)
        return {RunsOn.THREAD: max(0, on_threads), RunsOn.LOOP: max(0, self.async_activities - self._running_async)}

    @property
    def _on_threads(self) -> int:
        """Those of ``in_flight`` that have a thread or wait for one."""
        return self.in_flight - self._running_async

    def expected_seconds(self, name: str) -> float:
        """The running average of that activity's duration here."""
        return self._durations.expected(name)

    def submit(self, work: ClaimedActivity) -> None:
        """Run it when a thread is free."""
        timeout = self._timeout_seconds if work.timeout_seconds is None else work.timeout_seconds
        item = RunningActivity(work, self._durations.expected(work.name), timeout)
        try:
            definition = registry.activity(work.name)
        except FunctionNotRegistered as error:
            self.refuse(work, error)
            return
        if self.runs_async(work.name):
            self._submit_async(item, definition)
            return
        with self._lock:
            self._queue.append(item)
            self._backlog += item.expected_seconds
            if self._idle < len(self._queue) and self._alive < self.threads:
                self._start_thread()
            self._ready.notify()

    def refuse(self, work: ClaimedActivity, error: Exception) -> None:
        """End it with that error, unrun."""
        item = RunningActivity(work, 0.0, 0.0)
        self._end(item, self._ends.failed(item, error))

    def keys(self) -> list[ActivityKey]:
        """The work items of all that is submitted and not yet collected."""
        with self._lock:
            unended = [item.key for item in (*self._queue, *self._running.values())]
            return unended + [one.key for one in (*self._finished, *(one for _, one in self._postponed))]

    def take_finished(self) -> list[FinishedActivity]:
        """What has ended since the last call, in the order of ending."""
        now = time.monotonic()
        with self._lock:
            finished = list(self._finished) + [one for due, one in self._postponed if due <= now]
            self._finished.clear()
            self._postponed = [(due, one) for due, one in self._postponed if due > now]
            self._slow = self._count_slow()
        return finished

    def _count_slow(self) -> int:
        """Nothing is to queue behind threads that are long at it: others may have room for it at once."""
        since = time.monotonic() - BACKLOG_SECONDS
        slow = 0
        for item in self._running.values():  # in the order of starting
            if item.started is None or item.started > since:
                break
            slow += not item.is_async
        return slow

    def postpone(self, finished: list[FinishedActivity]) -> None:
        """Return what the database does not take just now, to be collected when it is worth another try."""
        if finished:
            now = time.monotonic()
            with self._lock:
                self._postponed += [(now + min(2.0**one.refusals, LONGEST_POSTPONED), one) for one in finished]

    def put_back(self, finished: list[FinishedActivity]) -> None:
        """Return what could not be recorded, to be collected again."""
        with self._lock:
            self._finished.extendleft(reversed(finished))

    def take_unstarted(self) -> list[ActivityKey]:
        """Withdraw what no thread has begun."""
        with self._lock:
            withdrawn = [item.key for item in self._queue]
            self._queue.clear()
            self._backlog = 0.0
        return withdrawn

    def cancel_execution(self, instance_pk: int, execution: int) -> None:
        """Start nothing more of an execution that has ended, and tell what runs that its result is not wanted."""
        with self._lock:
            unwanted = [item for item in self._queue if _is_of(item, instance_pk, execution)]
            for item in unwanted:
                self._queue.remove(item)
                self._backlog = max(0.0, self._backlog - item.expected_seconds)
            running = [item for item in self._running.values() if _is_of(item, instance_pk, execution)]
        for item in running:
            item.tell_unwanted()

    def unended(self) -> list[RunningActivity]:
        """What waits to run or runs at this moment."""
        with self._lock:
            return [*self._queue, *self._running.values()]

    def cancel(self, items: Collection[RunningActivity]) -> None:
        """Start nothing more of these, whose work items are gone, and tell those that run."""
        with self._lock:
            for item in items:
                if item.started is None and item in self._queue:
                    self._queue.remove(item)
                    self._backlog = max(0.0, self._backlog - item.expected_seconds)
                    self._changed.notify_all()
        for item in items:
            item.tell_unwanted()

    def cancel_tasks(self, instance_pk: int, execution: int, task_ids: Collection[int]) -> None:
        """The same for these calls of an execution."""
        of_execution = [item for item in self.unended() if _is_of(item, instance_pk, execution)]
        self.cancel([item for item in of_execution if item.work.task_id in task_ids])

    def unwritten_heartbeats(self) -> list[tuple[RunningActivity, int]]:
        """What has sent heartbeats that the database does not know of, and how many each has sent."""
        with self._lock:
            running = list(self._running.values())
        return [(item, item.heartbeats) for item in running if item.heartbeats != item.written_heartbeats]

    def wait(self, seconds: float) -> None:
        """Return when something has ended, or after that time."""
        with self._changed:
            if not self._finished:
                self._changed.wait(seconds)

    def wake(self) -> None:
        """Make ``wait`` return."""
        with self._changed:
            self._changed.notify_all()

    def expire(self) -> None:
        """End with a TimeoutError what runs or is silent for too long. Its thread is given up and replaced."""
        now = time.monotonic()
        with self._lock:
            if self._queue and not self._alive:
                self._start_thread()
        for item in self.unended():
            if (reason := item.overdue(now)) and self._give_up_on(item, reason):
                logger.error("%s instance=%s task=%s", reason, item.work.instance_id, item.work.task_id)
                self._tell_detached()

    def _give_up_on(self, item: RunningActivity, reason: str) -> bool:
        """End it with a TimeoutError, in one step as ``_end`` does; False where it has ended meanwhile."""
        finished = self._ends.failed(item, TimeoutError(reason))
        with self._lock:
            if id(item) not in self._running:
                return False
            self._abandon(item)
            self._finished.append(finished)
            self._changed.notify_all()
            if not item.is_async:
                self._start_thread()
        return True

    def abandon_all(self) -> None:
        """Forget everything in flight: its lease is lost, and others will run it."""
        with self._lock:
            for item in list(self._running.values()):
                self._abandon(item)
            self._queue.clear()
            self._finished.clear()
            self._postponed.clear()
            self._backlog = 0.0

    def _abandon(self, item: RunningActivity) -> None:
        """Expect nothing more of it. Its thread ends with it, and no longer counts."""
        item.give_up()
        self._forget(item)
        if not item.is_async:
            self._alive -= 1
        elif self._loop is not None and item.future is not None:
            self._loop.call_soon_threadsafe(item.future.cancel)

    def close(self, seconds: float) -> None:
        """Start nothing more, not even what is queued, and wait up to that long for what runs.

        Then no thread of the pool uses a connection any more, unless an activity has outlasted that.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            self._is_closed = True
            self._ready.notify_all()
            while self._running and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            threads = [] if self._running else list(self._started)
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def give_up(self) -> None:
        """Abandon what still runs, and stop the event loop."""
        self.abandon_all()
        self._children.close()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    # Threads -----------------------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        """Where the system gives no more threads, what is queued waits for one that there is, or for a later try."""
        if self._is_closed:
            return
        thread = threading.Thread(target=self._work, name=f"activity-{self._alive + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            logger.error("No thread can be started for activities; %d are alive: %s", self._alive, error)
            return
        self._alive += 1
        self._started.add(thread)

    def _work(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._run(item)
                if item.is_abandoned:
                    return  # another thread has taken this one's place
        finally:
            connections.close_all()
            self._started.discard(threading.current_thread())

    def _next(self) -> RunningActivity | None:
        with self._lock:
            while not self._queue and not self._is_closed:
                self._idle += 1
                self._ready.wait()
                self._idle -= 1
            if self._is_closed:
                self._alive -= 1
                return None
            item = self._queue.popleft()
            self._backlog = max(0.0, self._backlog - item.expected_seconds)
            self._begin(item)
        return item

    def _begin(self, item: RunningActivity) -> None:
        item.begin()
        self._running[id(item)] = item
        self._running_async += item.is_async

    def _forget(self, item: RunningActivity) -> None:
        """Count it as running no more; it may have been forgotten before, or never have begun."""
        if self._running.pop(id(item), None) is not None:
            self._running_async -= item.is_async

    def _run(self, item: RunningActivity) -> None:
        try:
            close_old_connections()
            definition = registry.activity(item.work.name)
            if definition.transactional:
                self._run_transactional(item, definition)
                return
            if definition.process:
                finished = self._run_in_child(item, definition)
            else:
                finished = self._ends.returned(item, definition, call(definition, item, self._hub))
        except NotRecorded:
            message = "An activity's writes are undone: its work item is gone. activity=%s instance=%s task=%s"
            logger.warning(message, item.work.name, item.work.instance_id, item.work.task_id)
            self._end(item, FinishedActivity(item.work, None, recorded=True))
        except BaseException as error:  # SystemExit and the like are the activity's failure, not the thread's
            self._end(item, self._ends.failed(item, error))
        else:
            self._end(item, finished)
        finally:
            close_old_connections()

    def _run_transactional(self, item: RunningActivity, definition: ActivityDefinition) -> None:
        has_returned = False
        try:
            with transaction.atomic(using=get_config().database):
                finished = self._ends.returned(item, definition, call(definition, item, self._hub))
                has_returned = finished.recorded = True
                if item.is_abandoned or not self._record(finished):
                    raise NotRecorded
        except BaseException as error:  # raised by COMMIT or after it, it does not say whether all is written
            if not has_returned or isinstance(error, NotRecorded):
                raise
            finished = self._ends.failed(item, error)
            finished.is_doubtful = True
        self._end(item, finished)

    def _run_in_child(self, item: RunningActivity, definition: ActivityDefinition) -> FinishedActivity:
        """Run it in a process of its own, which dies with whatever makes an end of waiting for it."""
        with self._children.lend() as child:
            answer = child.run(item, definition, self._hub)
        if isinstance(answer, FailureDetails):
            return self._ends.failed(item, answer)
        return self._ends.deferred(item, answer) if isinstance(answer, Deferral) else self._ends.completed(item, answer)

    # Async activities --------------------------------------------------------------------------------------------

    def _submit_async(self, item: RunningActivity, definition: ActivityDefinition) -> None:
        item.is_async = True
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(self._loop,), name="activity-loop", daemon=True).start()
        with self._lock:
            self._begin(item)

        async def run() -> None:
            try:
                finished = self._ends.returned(item, definition, await call(definition, item, self._hub))
            except asyncio.CancelledError:
                if not item.is_abandoned:
                    error = RuntimeError("The activity was cancelled from inside.")
                    self._end(item, self._ends.failed(item, error))
            except BaseException as raised:
                if isinstance(raised, (DatabaseError, InterfaceError)):
                    # On the thread of its database calls, whose broken connection would fail the next ones too.
                    await sync_to_async(close_old_connections)()
                self._end(item, self._ends.failed(item, raised))
            else:
                self._end(item, finished)

        def start() -> None:
            if not item.is_abandoned:
                item.future = asyncio.ensure_future(run())

        self._loop.call_soon_threadsafe(start)

    # Endings -----------------------------------------------------------------------------------------------------

    def _end(self, item: RunningActivity, finished: FinishedActivity) -> None:
        """Bring what ran to what has ended, in one step: at no moment is its work item in neither (see ``keys``)."""
        with self._lock:
            self._forget(item)
            if item.started is not None:
                self._durations.note(item.work.name, time.monotonic() - item.started)
            if not item.is_abandoned:
                self._finished.append(finished)
            self._changed.notify_all()
        if not item.is_abandoned:
            self._tell_detached()

    def _tell_detached(self) -> None:
        if (on_detached := self.on_detached) is not None:
            on_detached()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run an event loop until it is stopped, and what is left in it to its end."""
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(sync_to_async(connections.close_all)())
    loop.close()


def _is_of(item: RunningActivity, instance_pk: int, execution: int) -> bool:
    return item.work.instance_pk == instance_pk and item.work.execution == execution
