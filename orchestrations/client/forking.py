"""Running an instance again from a step, as a new one."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrations.access.permissions import Action
from orchestrations.authoring.registry import registry
from orchestrations.client import instance_ids
from orchestrations.client.arguments import check_reason, check_version
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient
from orchestrations.client.instance_ids import check_instance_id
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.errors import CutRefused
from orchestrations.core.events import EventType, HistoryEvent
from orchestrations.core.facts import InstanceFacts
from orchestrations.core.fork import Cut, cut
from orchestrations.errors import (
    InstanceAlreadyExists,
    InstanceIsEntity,
    InstanceNotFound,
    PayloadUnavailable,
    StepRefused,
)
from orchestrations.models import Instance
from orchestrations.models.instances import START_COLUMNS
from orchestrations.store.contract import LoadedHistory, NewInstance
from orchestrations.store.fork_contract import NewFork

COLUMNS = ("instance_id", "name", "execution", *START_COLUMNS)
LOOKS = 3  # at an origin that goes on to its next generation meanwhile


class Forking(HubClient):
    """Forks."""

    def fork(
        self,
        instance_id: str,
        step: int,
        new_instance_id: str | None = None,
        version: str | None = None,
        *,
        reason: str = "",
    ) -> str:
        """Run an instance again from a step as a new one, and return the new instance's id; the original is left alone.

        ``step`` is the number of an event in the history of its present execution, live or ended. What ended before
        that event is not done again: the new instance begins with the same input, results, external events and values
        of the context. What was open there is done anew, with sub-orchestrations under ids of its own, and so is all
        that the code decides from there on. It has the present tags, no parent, and the ``version`` that is given, else
        the same. It runs once the caller's transaction has committed.

        Raises InstanceNotFound, InstanceIsEntity, InvalidInstanceId, InstanceAlreadyExists (whatever the status of the
        one with the new id), FunctionNotRegistered, PayloadRejected (version or reason), PayloadUnavailable, and
        StepRefused for a step that is not there, behind the end, or inside of a block that has entities locked.
        """
        new_id = None if new_instance_id is None else check_instance_id(new_instance_id)
        chosen = None if version is None else check_version(version)
        fork = self._fork_of(*self._present_execution(instance_id), step, new_id, chosen, check_reason(reason))
        with self._writing():
            created = self._store.create_fork(fork)
            if not created.created:
                raise InstanceAlreadyExists(created.instance_id, created.existing_status or "Pending")
            details = {"orchestrator": fork.start.name, "forked": fork.forked_from, "step": step}
            self._audit(Action.FORK, [created.instance_id], reason, details)
        return created.instance_id

    afork = async_twin(fork)

    def _present_execution(self, instance_id: str) -> tuple[Instance, LoadedHistory]:
        """The instance and the whole history of one and the same execution."""
        if is_entity_id(instance_id):
            raise InstanceIsEntity(instance_id)
        rows = self._rows(instance_id).only(*COLUMNS)
        row = rows.first()
        for _ in range(LOOKS):
            if row is None:
                break
            loaded = self._store.load_history({row.pk: row.execution}).get(row.pk)
            again = rows.first()
            if loaded is not None and again is not None and again.execution == row.execution:
                if loaded.unreadable:
                    raise PayloadUnavailable(loaded.unreadable)
                return row, loaded
            row = again
        if row is None:
            raise InstanceNotFound(instance_id)
        raise StepRefused(f"{instance_id!r} goes on to another execution all the time, so its steps are gone.")

    def _fork_of(
        self, row: Instance, loaded: LoadedHistory, step: int, new_id: str | None, version: str | None, reason: str
    ) -> NewFork:
        """All that the new instance begins with. Raises FunctionNotRegistered, PayloadUnavailable and StepRefused."""
        start = NewInstance(
            instance_id=instance_ids.new_instance_id() if new_id is None else new_id,
            name=registry.orchestrator(row.name).name,
            version=row.version if version is None else version,
            input=loaded.input,
            tags=dict(row.tags),
            has_fresh_id=new_id is None,
        )
        try:
            part = cut(InstanceFacts(row.instance_id, row.name, row.version), loaded.events, step)
        except CutRefused as refused:
            raise StepRefused(f"{row.instance_id!r} can't be run again from step {step}. {refused}") from refused
        return NewFork(
            start=start,
            forked_from=row.instance_id,
            forked_step=step,
            execution=_generation(loaded.events, row.execution),
            history=part.kept,
            messages=[] if part.begins else [self._forked(part, start, reason), *part.redelivered],
            custom_status=part.custom_status,
            first_input=row.first_input,
            first_version=row.first_version,
        )

    def _forked(self, part: Cut, start: NewInstance, reason: str) -> HistoryEvent:
        """The event with which the fork goes on: from then on it is itself."""
        itself = {"instance_id": start.instance_id, "version": start.version, "left_at": part.left_at.isoformat()}
        return self._message_event(EventType.EXECUTION_FORKED, {"reason": reason, **itself})


def _generation(history: Sequence[HistoryEvent], execution: int) -> int:
    """What ids of children were made with: rewinds keep it."""
    started = next((event for event in history if event.type is EventType.EXECUTION_STARTED), None)
    return int(started.attributes.get("generation", execution)) if started is not None else execution
