"""Composition: tasks that are made of others, and end with all of them or with the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from orchestrations.core.errors import FOREIGN, OrchestrationStateError
from orchestrations.core.tasks import Task
from orchestrations.limits import NESTED_TASKS


class CompositeTask(Task):
    """A task made of others."""

    __slots__ = ("children", "depth", "pending")

    def __init__(self, children: Iterable[Task]) -> None:
        super().__init__()
        self.children: Sequence[Task] = [_checked(child) for child in children]
        owners = [child.owner for child in self.children if child.owner is not None]
        self.owner = owners[0] if owners else None
        if any(owner is not self.owner for owner in owners):
            raise OrchestrationStateError(FOREIGN)
        inside = (child.depth for child in self.children if isinstance(child, CompositeTask))
        self.depth: int = 1 + max(inside, default=0)
        if self.depth > NESTED_TASKS:
            raise ValueError(
                f"task_all and task_any may be {NESTED_TASKS} deep inside one another. Collect the tasks in a list "
                "instead, and give that to one of them."
            )
        self.pending = sum(not child.has_ended for child in self.children)
        for child in self.children:
            child.attach_to(self)

    def get_tasks(self) -> list[Task]:
        """The tasks that it is made of, under durabletask's name."""
        return list(self.children)

    def child_ended(self, child: Task) -> None:
        """A child has ended."""
        raise NotImplementedError

    def can_show(self, child: Task, awaited: Task | None) -> bool:
        """Whether the orchestrator could see the child end through this task."""
        return self.can_be_observed(awaited)

    def child_reopened(self, child: Task) -> None:
        """A child that had ended, unseen by the orchestrator, waits again."""
        self.pending += 1
        if self.has_ended and not self.was_seen:
            self._reopen()

    def leaves(self) -> Iterator[Task]:
        """The leaves of all children, in argument order."""
        for child in self.children:
            yield from child.leaves()


class WhenAllTask(CompositeTask):
    """Completes when all have ended: with their results in argument order, or with the first failure in time."""

    __slots__ = ()

    def __init__(self, children: Iterable[Task]) -> None:
        super().__init__(children)
        if self.pending == 0:
            self._finish()

    @property
    def pending_tasks(self) -> int:
        """How many of them have not ended, as in durabletask."""
        return len(self.children) - self.get_completed_tasks()

    def get_completed_tasks(self) -> int:
        """How many of them have ended, well or badly, as in durabletask."""
        return sum(child.is_completed for child in self.children)

    def child_ended(self, child: Task) -> None:
        """Finish with the last child."""
        self.pending -= 1
        if self.pending == 0 and not self.has_ended:
            self._finish()

    def look(self) -> None:
        """Note that the orchestrator learns how it and each child ended; from a failure only which others failed."""
        if self.has_ended and not self.was_seen:
            self.was_seen = True
            for child in self.children:
                if child.has_failed or not self.has_failed:
                    child.look()

    def failures(self) -> Iterator[BaseException]:
        """The errors of all children that failed, and of theirs."""
        for child in self.children:
            yield from child.failures()

    def _finish(self) -> None:
        errors = {child.ended: child.error for child in self.children if child.error is not None}
        if not errors:
            self.complete([child._result for child in self.children])
            return
        error = errors[min(errors)]
        with suppress(Exception):  # an author's error may have no room for it
            error.failures = tuple(self.failures())  # type: ignore[attr-defined]
        self.fail(error)


class WhenAnyTask(CompositeTask):
    """Completes with the first task that ends, well or badly; the others go on."""

    __slots__ = ()

    def __init__(self, children: Iterable[Task]) -> None:
        super().__init__(children)
        if not self.children:
            raise ValueError("task_any needs at least one task: with none it could never complete.")
        winner = next((child for child in self.children if child.has_ended), None)
        if winner is not None:
            self.complete(winner)

    def child_ended(self, child: Task) -> None:
        """Finish with the first child."""
        if not self.has_ended:
            self.complete(child)

    def can_show(self, child: Task, awaited: Task | None) -> bool:
        """Whether the orchestrator could see the child end through this task: only as its winner."""
        return (not self.has_ended or self._result is child) and self.can_be_observed(awaited)

    def child_reopened(self, child: Task) -> None:
        """Look for another winner if it was that child."""
        if self._result is child:
            super().child_reopened(child)
            winner = next((c for c in self.children if c.has_ended), None)
            if winner is not None and not self.has_ended:
                self.complete(winner)

    def look(self) -> None:
        """Note that the orchestrator learns how it and the winner ended."""
        if self.has_ended and not self.was_seen:
            self.was_seen = True
            self._result.look()


def _checked(child: object) -> Task:
    if isinstance(child, Task):
        return child
    raise TypeError(
        "task_all and task_any take tasks, as context.call_activity(...) returns them, but were given "
        f"{type(child).__name__}."
    )


def when_all(tasks: Iterable[Task]) -> WhenAllTask:
    """A task that completes when all of them have ended. With none it completes at once with ``[]``."""
    return WhenAllTask(tasks)


def when_any(tasks: Iterable[Task]) -> WhenAnyTask:
    """A task whose result is the first of them to end. Raises ValueError for an empty list."""
    return WhenAnyTask(tasks)
