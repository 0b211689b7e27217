"""Ends of tasks that come again, also for executions that are over: whoever told of them may have had no answer."""

from __future__ import annotations

from collections import Counter

from orchestrations.core.culprits import FAILURES
from orchestrations.core.events import EventType
from orchestrations.models import InboxMessage, Instance
from orchestrations.store import get_store
from tests.simulation.orders import LIVE
from tests.simulation.snapshot import Row, Snapshot, attributes_of

ENDS = {
    EventType.TASK_COMPLETED: EventType.TASK_SCHEDULED,
    EventType.TASK_FAILED: EventType.TASK_SCHEDULED,
    EventType.TIMER_FIRED: EventType.TIMER_CREATED,
    EventType.SUB_ORCHESTRATION_COMPLETED: EventType.SUB_ORCHESTRATION_CREATED,
    EventType.SUB_ORCHESTRATION_FAILED: EventType.SUB_ORCHESTRATION_CREATED,
    EventType.ENTITY_COMPLETED: EventType.ENTITY_CALLED,
    EventType.ENTITY_FAILED: EventType.ENTITY_CALLED,
}
"""The ends of tasks, and what had begun them."""
CHILD_ENDS = frozenset({EventType.SUB_ORCHESTRATION_COMPLETED, EventType.SUB_ORCHESTRATION_FAILED})
LATE_FAILURE = '{"errorType":"builtins.RuntimeError","errorMessage":"late","stackTrace":null}'
COLUMNS = ("instance_id", "type", "task_id", "attempt", "name", "payload", "attributes")


class Redelivery:
    """Every end that has been in a history, although the history may be gone."""

    def __init__(self) -> None:
        self._ends: dict[str, dict[tuple[int, int, int], Row]] = {kind: {} for kind in ENDS}
        self._sent: Counter[str] = Counter()
        self._generations: dict[tuple[int, int], int] = {}
        self._present: dict[int, int] = {}  # executions of what is live
        self._open: set[tuple[int, str, int]] = set()  # and what has begun in them and not ended

    def remember(self, tables: Snapshot) -> None:
        """Note what is there now."""
        self._present = {row.pk: row.execution for row in tables.instances.values() if row.status in LIVE}
        self._open.clear()
        for where, events in tables.histories.items():
            if self._present.get(where[0]) == where[1]:
                self._open |= _open_in(events)
            for event in events:
                if event.type in self._ends:
                    self._ends[event.type][*where, event.sequence] = event
                elif event.type == EventType.EXECUTION_STARTED:
                    self._generations[where] = attributes_of(event)["generation"]

    def redeliver(self, which: int) -> str | None:
        """Send one of them again, and return its type: the one that was sent least so far, because some are rare."""
        number, is_over = divmod(which, 2)
        for kind in sorted(ENDS, key=self._sent.__getitem__):
            event = self._one_of(kind, number, is_over=bool(is_over))
            if event is not None:
                self._send(event)
                self._sent[kind] += 1
                return str(kind)
        return None

    def send_late(self, which: int) -> bool:
        """Send the end of a task of a generation that is over, if something with that number is open in this one."""
        open_now = [one for one in sorted(self._open) if self._generations.get((one[0], self._present[one[0]]), 1) > 1]
        if not open_now:
            return False
        number, of_task = divmod(which, len(open_now))
        pk, begun, task_id = open_now[of_task]
        kinds = [end for end, begins in ENDS.items() if begins == begun]
        kind = kinds[number % len(kinds)]
        InboxMessage.objects.create(
            hub=get_store().hub,
            instance_id=pk,
            type=kind,
            task_id=task_id,
            name="late",
            payload=LATE_FAILURE if kind in FAILURES else '"late"',
            execution=self._generation_before(pk) if kind in CHILD_ENDS else self._execution_before(pk),
        )
        return True

    def _generation_before(self, pk: int) -> int:
        return self._generations[pk, self._present[pk]] - 1

    def _execution_before(self, pk: int) -> int:
        """The last one of the generation before: after each come those that rewinds and forks begin in it."""
        generation = self._generations[pk, self._present[pk]]
        of_this = (number for (owner, number), known in self._generations.items() if (owner, known) == (pk, generation))
        return min(of_this) - 1

    def _one_of(self, kind: EventType, number: int, *, is_over: bool) -> Row | None:
        """One that may come again, to whom it could make a difference if there is any.

        That is one that is live; its execution that had the end is over or not, since such are rare too. At best
        something like it, with the same number, is open there now.
        """
        alike = self._ends[kind]
        live = [where for where in alike if where[0] in self._present]
        fitting = [where for where in live if (where[1] != self._present[where[0]]) == is_over]
        awaited = [where for where in fitting if (where[0], ENDS[kind], alike[where].task_id) in self._open]
        for candidates in (sorted(awaited), sorted(fitting), sorted(live), sorted(alike)):
            first = number % max(len(candidates), 1)
            for where in (*candidates[first:], *candidates[:first]):
                if self._may_come_again(alike[where]):
                    return alike[where]
        return None

    def _send(self, event: Row) -> None:
        execution = event.execution
        if event.type in CHILD_ENDS:  # children know the generation, which a rewind keeps
            execution = self._generations[event.instance_id, event.execution]
        again = {column: getattr(event, column) for column in COLUMNS}
        InboxMessage.objects.create(hub=get_store().hub, execution=execution, **again)

    def _may_come_again(self, event: Row) -> bool:
        """Whether there is somebody to send it to.

        The end of a child bears no attempt, since it tells its parent once of each: not if it is tried again.
        """
        row = Instance.objects.filter(pk=event.instance_id).only("execution").first()
        if row is None or event.type not in CHILD_ENDS:
            return row is not None
        later = row.history.filter(
            execution=event.execution,
            task_id=event.task_id,
            type=EventType.SUB_ORCHESTRATION_CREATED,
            sequence__gt=event.sequence,
        )
        present = self._generations.get((row.pk, row.execution), row.execution)
        was_rewound = row.execution != event.execution
        is_over = present != self._generations[event.instance_id, event.execution]
        return is_over or not (was_rewound or later.exists())


def _open_in(events: list[Row]) -> set[tuple[int, str, int]]:
    begun = {(event.instance_id, event.type, event.task_id) for event in events if event.type in ENDS.values()}
    return begun - {(event.instance_id, ENDS[event.type], event.task_id) for event in events if event.type in ENDS}
