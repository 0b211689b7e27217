"""External events and the waits for them: who gets which event, so that each is seen once and none is lost.

Events of one name are taken in the order in which they came, by the oldest wait that the orchestrator could still see
complete. An event that a wait took, and that the orchestrator then dropped without looking (the loser of a
``task_any``), goes to the next wait of that name, or over to the next generation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from orchestrations.core.events import HistoryEvent
from orchestrations.core.tasks import ExternalEventTask, Task


class ExternalEvents:
    """The lines of waits and the buffered events of one execution, by casefolded name."""

    def __init__(self) -> None:
        self._waits: dict[str, list[ExternalEventTask]] = {}  # running, oldest first
        self._buffered: dict[str, deque[HistoryEvent]] = {}  # never an empty one
        self._taken: dict[str, list[ExternalEventTask]] = {}  # ended with an event that may be unseen yet
        self._unfit: dict[int, ExternalEventTask] = {}  # failed on their event, by wait id
        self.untimed: set[ExternalEventTask] = set()  # gave their event back, and their timer is cancelled
        self.questions: dict[int, ExternalEventTask] = {}  # all that were put to people, by wait id

    def offer(self, event: HistoryEvent, awaited: Task | None) -> None:
        """Give a new event to the first wait that can be observed, or keep it."""
        key = (event.name or "").casefold()
        self._buffered.setdefault(key, deque()).append(event)
        self._hand_out(key, awaited)

    def add(self, wait: ExternalEventTask) -> None:
        """Put a new wait in line; it takes an event that came early at once."""
        if wait.question is not None:
            self.questions[_age(wait)] = wait
        self._waits.setdefault(wait.name.casefold(), []).append(wait)
        self.give(wait, None)

    def is_open(self, answer: HistoryEvent) -> bool:
        """Whether the question that the event answers waits for one, and for none that has come already."""
        wait = self.questions.get(answer.attributes["wait_id"])
        key = (answer.name or "").casefold()
        if wait is None or wait.has_ended or wait.name.casefold() != key:
            return False
        return not any("wait_id" in known.attributes and wait.suits(known) for known in self._buffered.get(key, ()))

    def give(self, wait: ExternalEventTask, awaited: Task | None) -> None:
        """Complete the wait with the oldest event of its name that nobody has seen, if there is one."""
        key = wait.name.casefold()
        self._take_back(key, awaited)
        buffered = self._buffered.get(key)
        if not buffered or wait.has_ended:
            return
        number = next((number for number, event in enumerate(buffered) if wait.suits(event)), None)
        if number is None:
            return
        event = buffered[number]
        del buffered[number]
        if not buffered:
            del self._buffered[key]
        self.forget(wait)
        self._taken.setdefault(key, []).append(wait)
        wait.take(event)
        if wait.has_failed:
            self._unfit[_age(wait)] = wait
        if wait.timer is not None:
            wait.timer.cancel()

    def give_to(self, awaited: Task) -> None:
        """Let the waits in what is awaited now take what came before; of those of one name the oldest is first."""
        if not self._buffered and not self._taken:
            return
        waits = [leaf for leaf in awaited.leaves() if isinstance(leaf, ExternalEventTask) and not leaf.has_ended]
        lines: dict[str, list[ExternalEventTask]] = {}
        for wait in sorted(waits, key=_age, reverse=True):
            lines.setdefault(wait.name.casefold(), []).append(wait)
        for wait in waits:
            self.give(lines[wait.name.casefold()].pop(), awaited)

    def forget(self, wait: ExternalEventTask) -> None:
        """Take the wait out of its line."""
        line = self._waits.get(wait.name.casefold(), [])
        if wait in line:
            line.remove(wait)

    def release(self, wait: ExternalEventTask, awaited: Task | None) -> None:
        """Take the wait out of its line; an event that it took, and nobody has seen, goes to whoever is next."""
        self.forget(wait)
        if not wait.can_give_back:
            return
        key = wait.name.casefold()
        self._taken[key].remove(wait)
        self._buffered[key] = deque(sorted([*self._buffered.get(key, ()), wait.give_back()], key=_sequence))
        self._hand_out(key, awaited)

    def open_waits(self, awaited: Task | None) -> list[ExternalEventTask]:
        """The waits that would take an event now, oldest first."""
        waits = (wait for line in self._waits.values() for wait in line if wait.can_be_observed(awaited))
        return sorted(waits, key=_age)

    def unseen(self) -> list[HistoryEvent]:
        """The events that the orchestrator has never seen, in order; answers to questions are among them."""
        events = [event for buffered in self._buffered.values() for event in buffered]
        for taken in self._taken.values():
            events += [wait.event for wait in taken if wait.event is not None and not wait.was_seen]
        return sorted(events, key=_sequence)

    def unfit(self) -> Iterator[ExternalEventTask]:
        """The waits that failed because their event was not what they wait for, and that still have it."""
        return (wait for wait in self._unfit.values() if wait.event is not None and wait.has_failed)

    def _hand_out(self, key: str, awaited: Task | None) -> None:
        for wait in list(self._waits.get(key, ())):
            if wait.can_be_observed(awaited):
                self.give(wait, awaited)
            if key not in self._buffered:
                return

    def _take_back(self, key: str, awaited: Task | None) -> None:
        """Buffer again what waits took that the orchestrator has dropped without ever seeing the event."""
        taken = [wait for wait in self._taken.pop(key, ()) if not wait.was_seen]
        dropped = [wait for wait in taken if not wait.can_be_observed(awaited)]
        if len(dropped) < len(taken):
            self._taken[key] = [wait for wait in taken if wait not in dropped]
        if dropped:
            events = [*self._buffered.get(key, ()), *(wait.give_back() for wait in dropped)]
            self.untimed.update(wait for wait in dropped if wait.deadline is not None)
            self._buffered[key] = deque(sorted(events, key=_sequence))
            self._waits[key] = sorted([*self._waits.get(key, ()), *dropped], key=_age)


def _age(wait: ExternalEventTask) -> int:
    return int(wait.id or 0)


def _sequence(event: HistoryEvent) -> int:
    return event.sequence
