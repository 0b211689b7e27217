"""Work that workers die of: the error that it fails with, and the dead letter that is kept of it."""

from __future__ import annotations

from orchestrations.models import DeadLetter
from orchestrations.store.contract import ClaimedActivity, ClaimedInstance, Store
from orchestrations.store.outbox_contract import NewDeadLetter

Kind = DeadLetter.Kind


class PoisonMessage(Exception):
    """Work was taken up again and again, and each time its worker died of it."""

    is_non_retriable = True


def poison(what: str, deaths: int, remedy: str = "mend the code and rewind the instance") -> PoisonMessage:
    """The error for work that has killed so many workers."""
    return PoisonMessage(
        f"Workers died {deaths} times while running {what}. Look at the worker's log for what ended them, and "
        f"{remedy}. It is kept among the dead letters."
    )


def dead_instance(claimed: ClaimedInstance, kind: DeadLetter.Kind, error: Exception) -> NewDeadLetter:
    """The dead letter of an orchestrator, or of its rewind."""
    return NewDeadLetter(
        kind=kind.value,
        instance_pk=claimed.pk,
        instance_id=claimed.instance_id,
        execution=claimed.execution,
        position=claimed.last_sequence,
        name=claimed.name,
        deaths=claimed.attempts - 1,
        error=str(error),
    )


def dead_operation(claimed: ClaimedInstance, name: str, payload: str | None, error: BaseException) -> NewDeadLetter:
    """The dead letter of an entity's operation, with what it takes to send it again."""
    return NewDeadLetter(
        kind=Kind.OPERATION.value,
        instance_pk=claimed.pk,
        instance_id=claimed.instance_id,
        execution=claimed.execution,
        position=claimed.last_sequence,
        name=name,
        deaths=claimed.attempts - 1,
        error=str(error),
        payload=payload,
    )


def give_up(store: Store, work: ClaimedActivity) -> PoisonMessage:
    """Keep an activity as a dead letter, and return the error with which it is to fail."""
    error = poison(f"the activity {work.name!r}", work.dispatches - 1)
    dead = NewDeadLetter(
        kind=Kind.ACTIVITY.value,
        instance_pk=work.instance_pk,
        instance_id=work.instance_id,
        execution=work.execution,
        position=work.task_id,
        name=work.name,
        deaths=work.dispatches - 1,
        error=str(error),
    )
    store.keep_dead_letters([dead])
    return error
