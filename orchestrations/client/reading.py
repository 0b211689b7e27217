"""Reading what instances stand at, and waiting for their end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.transaction import TransactionManagementError

from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient
from orchestrations.client.orchestration_status import OrchestrationStatus, decode_lenient
from orchestrations.client.polling import poll_delays
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InstanceIsEntity, InstanceNotFound
from orchestrations.reading import queries
from orchestrations.reading.again import again_if_replaced
from orchestrations.reading.history_events import project_history

DEFAULT_WAIT_SECONDS = 60.0


class Goal(NamedTuple):
    """What is waited for: the word for it, and whether a status is one."""

    word: str
    is_reached: Callable[[RuntimeStatus], bool]


ENDED = Goal("ended", lambda status: status.is_terminal)
STARTED = Goal("started", lambda status: status is not RuntimeStatus.PENDING)


class Reading(HubClient):
    """Snapshots of instances, one or many."""

    @again_if_replaced
    def get_status(
        self,
        instance_id: str,
        show_history: bool = False,
        show_history_output: bool = False,
        show_input: bool = True,
    ) -> OrchestrationStatus | None:
        """A snapshot of the instance, or None where the id is unknown.

        History is that of the current execution up to the same moment, and is read only with ``show_history``.
        """
        row = self._rows(instance_id).first()
        if row is None:
            return None
        events: list[dict[str, Any]] | None = None
        if show_history and row.runtime_status is not RuntimeStatus.PENDING:
            events = project_history(
                queries.whole_history(row, using=self.using),
                value=decode_lenient,
                show_input=show_input,
                show_output=show_history_output,
            )
        return OrchestrationStatus.of(row, show_input=show_input, history=events)

    def get_executions(self, instance_id: str) -> list[int]:
        """The numbers of the executions whose history is kept, oldest first; the last one is the present execution.

        A rewind leaves the execution that failed as it was and begins the next one. Raises InstanceNotFound.
        """
        return queries.executions(queries.get_instance(self.hub, instance_id, using=self.using), using=self.using)

    @again_if_replaced
    def get_history(
        self, instance_id: str, execution: int | None = None, *, show_input: bool = True, show_output: bool = True
    ) -> list[dict[str, Any]]:
        """The events of one execution in order, described as ``get_status`` describes them; by default the present one.

        Empty for an execution of which nothing is kept. Raises InstanceNotFound.
        """
        row = queries.get_instance(self.hub, instance_id, using=self.using)
        rows = queries.whole_history(row, execution, using=self.using)
        return project_history(rows, value=decode_lenient, show_input=show_input, show_output=show_output)

    def wait_for_completion(
        self, instance_id: str, timeout: timedelta | float | None = DEFAULT_WAIT_SECONDS
    ) -> OrchestrationStatus:
        """Wait until the instance has ended and return its status; ``timeout`` in seconds, None for no end.

        Looks at the status column alone, first after 1 ms, then ever less often (a tenth of the time waited so far, at
        most 0.5 s). Raises WaitTimeout, InstanceNotFound, and TransactionManagementError inside ``atomic()``, where
        what the caller has started can't begin before the caller is done.
        """
        return self._wait(instance_id, timeout, ENDED)

    def wait_for_start(
        self, instance_id: str, timeout: timedelta | float | None = DEFAULT_WAIT_SECONDS
    ) -> OrchestrationStatus:
        """Wait until the instance is no longer Pending and return its status; otherwise as ``wait_for_completion``."""
        return self._wait(instance_id, timeout, STARTED)

    async def await_for_completion(
        self, instance_id: str, timeout: timedelta | float | None = DEFAULT_WAIT_SECONDS
    ) -> OrchestrationStatus:
        """``wait_for_completion`` for async code; holds no thread while it waits."""
        return await self._await(instance_id, timeout, ENDED)

    async def await_for_start(
        self, instance_id: str, timeout: timedelta | float | None = DEFAULT_WAIT_SECONDS
    ) -> OrchestrationStatus:
        """``wait_for_start`` for async code; holds no thread while it waits."""
        return await self._await(instance_id, timeout, STARTED)

    aget_status = async_twin(get_status)
    aget_executions = async_twin(get_executions)
    aget_history = async_twin(get_history)

    def _wait(self, instance_id: str, timeout: timedelta | float | None, goal: Goal) -> OrchestrationStatus:
        for delay in poll_delays(instance_id, timeout, goal.word):
            if self._look(instance_id, goal):
                break
            time.sleep(delay)
        return self._known_status(instance_id)

    async def _await(self, instance_id: str, timeout: timedelta | float | None, goal: Goal) -> OrchestrationStatus:
        look = sync_to_async(self._look, thread_sensitive=True)
        for delay in poll_delays(instance_id, timeout, goal.word):
            if await look(instance_id, goal):
                break
            await asyncio.sleep(delay)
        return await sync_to_async(self._known_status, thread_sensitive=True)(instance_id)

    def _look(self, instance_id: str, goal: Goal) -> bool:
        """One cheap statement. Raises InstanceNotFound, also where somebody has purged it meanwhile."""
        if is_entity_id(instance_id):
            raise InstanceIsEntity(instance_id)
        status = self._store.find_status(instance_id) if queries.storable(instance_id) else None
        if status is None:
            raise InstanceNotFound(instance_id)
        if goal.is_reached(RuntimeStatus(status)):
            return True
        if connections[self.using].in_atomic_block:
            raise TransactionManagementError(
                f"The wait for {instance_id!r} is inside a transaction, whose work nobody else can see yet. "
                "Wait after the atomic() block."
            )
        return False

    def _known_status(self, instance_id: str) -> OrchestrationStatus:
        status = self.get_status(instance_id)
        if status is None:
            raise InstanceNotFound(instance_id)
        return status
