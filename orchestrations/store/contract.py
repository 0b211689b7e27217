"""What a store promises to the runtime and the client: the few functions that write the hot tables.

Payloads are JSON text of any allowed length; that large ones are kept in files is the store's own affair. A file that
can't be written raises PayloadNotKept before anything else is written. Every implementation passes the same cases.
Times are the database's clock, aware UTC.

Lock order, everywhere: instance rows by ascending primary key, then inbox, then history, then work. Senders take no
lock on the instance row at all, so that a caller's long transaction never holds up a worker's group commit. Senders to
entities hold the entity against being removed, by a lock that no commit waits for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrations.core.entity_ids import is_entity_id
from orchestrations.core.events import HistoryEvent
from orchestrations.core.lifecycle import Transition
from orchestrations.models import ActivityWorkItem
from orchestrations.store.fork_contract import ForkStore
from orchestrations.store.lease_contract import LeaseStore
from orchestrations.store.outbox_contract import NewDeadLetter, NewDelivery
from orchestrations.store.progress_contract import ProgressStore
from orchestrations.store.task_contract import NewTask, SettledTask
from orchestrations.store.upkeep_contract import UndoneEnd, UpkeepStore

RunsOn = ActivityWorkItem.RunsOn

CLAIMED_BESIDES = 100  # work items with each claim, besides those that it has room for
OVERDUE = timedelta(milliseconds=200)  # work that waits so long is more than those who drain can take


@dataclass(slots=True)
class NewInstance:
    """An instance to create, Pending. ``start_at`` None means at once."""

    instance_id: str
    name: str
    version: str = ""
    input: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    start_at: datetime | None = None
    parent_pk: int | None = None
    parent_execution: int | None = None
    parent_task_id: int | None = None
    has_fresh_id: bool = False
    """The id was made at random just now, so that looking for an instance which has it is not worth a statement."""
    keep_history: bool = False
    """When it replaces an ended instance: keep the rows of the earlier executions (a retried sub-orchestration)."""


class OnDuplicate(StrEnum):
    """What to do when the id is taken."""

    ERROR = "error"  # refuse, whatever the existing instance's status
    REPLACE_TERMINAL = "replace-terminal"  # refuse only while the existing instance is live
    RETURN_EXISTING = "return-existing"  # start nothing
    TERMINATE = "terminate"  # end a live instance as terminate does, and replace it in the same transaction


@dataclass(slots=True)
class Created:
    """The outcome for one NewInstance, in the order given."""

    instance_id: str
    pk: int
    created: bool
    existing_status: str | None = None
    """Status of the instance that has the id, when ``created`` is False."""
    ended: Transition | None = None
    """What became of the live instance that was terminated for this one."""


@dataclass(slots=True)
class Message:
    """An event to put into an instance's inbox.

    The target is ``instance_pk``, or ``instance_id`` where the sender knows only that (an unknown id drops it).
    """

    event: HistoryEvent
    instance_pk: int | None = None
    instance_id: str | None = None
    execution: int | None = None
    visible_at: datetime | None = None
    idempotency_key: str | None = None
    parent_pk: int | None = None
    """Where set: only for a child of that instance. Another one that has the id is no business of the sender's."""


@dataclass(slots=True)
class InboxEvent:
    """A message loaded from the inbox: its row id, the execution it is meant for, and its event."""

    pk: int
    execution: int | None
    event: HistoryEvent
    unreadable: str = ""
    """Why it, or its payload in a file, can't be read; then the event means nothing."""


@dataclass(slots=True)
class ClaimedInstance:
    """An instance that this worker holds now. ``begins`` says that its execution is to start now.

    ``claimable_at`` is set on every execution that has not started: an instance whose start is still to come is claimed
    only for a message (a termination, say), and a commit that does not start it must keep that time.
    """

    pk: int
    instance_id: str
    name: str
    version: str
    status: str
    execution: int
    last_sequence: int
    begins: bool
    attempts: int
    created_at: datetime
    tags: dict[str, str]
    custom_status: str | None
    parent_pk: int | None
    parent_instance_id: str | None
    parent_execution: int | None
    parent_task_id: int | None
    messages: list[InboxEvent] = field(default_factory=list)
    claimable_at: datetime | None = None

    @property
    def takes_all(self) -> bool:
        """Whether it takes hidden messages with the first that is visible: what was abandoned comes before what is new.

        Before an orchestration begins, events for it are hidden on purpose; so are delayed signals to entities.
        """
        return self.claimable_at is None and not is_entity_id(self.instance_id)


@dataclass(slots=True)
class Claim:
    """The instances claimed at ``now`` (database clock). ``more`` says that the limit cut the batch short."""

    now: datetime
    instances: list[ClaimedInstance]
    more: bool = False


@dataclass(slots=True)
class LoadedHistory:
    """The input and the history of one execution."""

    input: str | None
    events: list[HistoryEvent]
    unreadable: str = ""
    """Why something of it can't be read; then it can't be replayed."""

    def append(self, event: HistoryEvent, problem: str) -> None:
        """Add an event, or a problem with reading it."""
        self.events.append(event)
        self.unreadable = self.unreadable or problem


@dataclass(slots=True)
class ActivityKey:
    """The natural key of a work item."""

    instance_pk: int
    execution: int
    task_id: int


@dataclass(slots=True)
class NewWorkItem:
    """A work item to insert. With ``held`` it is born claimed by the committing worker, first dispatch counted."""

    task_id: int
    attempt: int
    sequence: int
    name: str
    timeout_seconds: float | None
    held: bool
    generation: int = 1
    runs_on: str = RunsOn.THREAD


@dataclass(slots=True)
class ClaimedActivity:
    """An activity that this worker is to run now; its dispatch is already counted and committed."""

    instance_pk: int
    instance_id: str
    execution: int
    task_id: int
    attempt: int
    name: str
    input: str | None
    timeout_seconds: float | None
    dispatches: int
    tags: dict[str, str] = field(default_factory=dict)
    unreadable: str = ""
    """Why its input can't be read from its file; it can only fail then."""
    generation: int = 1
    heartbeat_timeout_seconds: float | None = None
    heartbeat_details: str | None = None
    """What the try before gave with its last heartbeat, as JSON text."""
    deferred_until: datetime | None = None
    """Set where it waited for its completion from outside, in vain: it is not to run, but to fail."""
    runs_on: str = RunsOn.THREAD
    """What it needs as far as its row knows; the code of whoever claims it may be another."""


@dataclass(slots=True)
class ActivityCompletion:
    """How an activity ended: ``event`` is its TaskCompleted or TaskFailed."""

    key: ActivityKey
    attempt: int
    event: HistoryEvent


@dataclass(slots=True)
class NewTimer:
    """A timer to create."""

    task_id: int
    attempt: int
    due_at: datetime


@dataclass(slots=True)
class NewWait:
    """An open wait for an external event to record."""

    wait_id: int
    name: str
    since: datetime
    due_at: datetime | None = None
    title: str = ""
    request: str | None = None
    location: str = ""


@dataclass(slots=True)
class EntityRecord:
    """An entity as it stands: its state as JSON text (None: there is none), its lock, and what waits for that lock.

    ``callers`` tells, as JSON text, whose operations it carried out of late (None: nobody's).
    """

    name: str
    key: str
    state: str | None = None
    last_operation_at: datetime | None = None
    locked_by: str = ""
    lock_id: str = ""
    backlog: int = 0
    callers: str | None = None
    unreadable: str = ""
    """Why its state can't be read from its file; no operation can be carried out then."""


@dataclass(slots=True)
class EntityChange:
    """What a checkpoint makes of an entity, beside what it makes of the entity's instance."""

    entity: EntityRecord
    deferred: list[int] = field(default_factory=list)  # inbox rows to keep for when the lock is released
    withdrawn: list[str] = field(default_factory=list)  # idempotency keys of deferred lock requests to delete
    reveals: bool = False  # everything that was deferred before becomes visible


@dataclass(slots=True)
class Checkpoint:
    """All that one episode changes for one instance; written whole or not at all.

    ``execution`` and ``last_sequence`` are what the worker believes; the row must still say so and carry its token.
    ``history`` goes to ``new_execution`` with the sequences that its events have.
    """

    pk: int
    execution: int
    last_sequence: int

    status: str
    new_execution: int
    new_last_sequence: int
    custom_status: str | None = None
    started_at: datetime | None = None  # set where the instance starts with this checkpoint
    completed_at: datetime | None = None
    output: str | None = None
    failure: str | None = None
    error: str = ""
    error_fingerprint: str = ""
    waiting_for: str = ""
    waits: str | None = None
    blocked_at: str = ""
    blocked_code: str = ""
    blocked_stack: str | None = None
    claimable_at: datetime | None = None  # set where a new generation is to begin
    new_input: tuple[str | None] | None = None  # a one-tuple where continue-as-new replaces the input
    new_version: str | None = None
    release: bool = True  # give the lease back with this commit

    history: list[HistoryEvent] = field(default_factory=list)
    consumed: list[int] = field(default_factory=list)  # inbox rows to delete
    ended_activities: list[int] = field(default_factory=list)  # task ids whose work items to delete
    work_items: list[NewWorkItem] = field(default_factory=list)
    timers: list[NewTimer] = field(default_factory=list)
    cancelled_timers: list[tuple[int, int]] = field(default_factory=list)  # (task id, attempt)
    children: list[NewInstance] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    opened_waits: list[NewWait] = field(default_factory=list)
    closed_waits: list[int] = field(default_factory=list)  # wait ids
    asked: list[NewTask] = field(default_factory=list)
    settled: list[SettledTask] = field(default_factory=list)
    withdraws_tasks: bool = False  # those of the old execution, known or not
    ends_execution: bool = False
    """Drop what is left of the old execution: its work items, waits; its pending timers become Cancelled."""
    keeps_activities: bool = False
    """With ``ends_execution``: let activities that nobody awaits run to their end, as after a normal completion."""
    entity: EntityChange | None = None
    forgets_history: bool = False
    """Delete the old execution's history rows (continue-as-new)."""
    transitions: list[Transition] = field(default_factory=list)  # for who listens once it is written
    deliveries: list[NewDelivery] = field(default_factory=list)  # to webhooks, written with it
    dead_letters: list[NewDeadLetter] = field(default_factory=list)
    undone_end: UndoneEnd | None = None  # that the instance had, where this takes it back (rewind)


@dataclass(slots=True)
class CommitResult:
    """``lost`` holds the instances whose row did not answer; nothing was written for them."""

    lost: set[int] = field(default_factory=set)


class Store(ForkStore, LeaseStore, ProgressStore, UpkeepStore):
    """One task hub in one database. Methods are one transaction each unless the caller has one open already."""

    def __init__(self, hub: str, using: str) -> None:
        self.hub = hub
        self.using = using

    # Clients -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def create_instances(
        self, instances: Sequence[NewInstance], on_duplicate: OnDuplicate = OnDuplicate.REPLACE_TERMINAL
    ) -> list[Created]:
        """Insert Pending instances in the caller's transaction; of concurrent starts under one id exactly one wins."""

    @abstractmethod
    def send(self, messages: Sequence[Message]) -> int:
        """Put messages into inboxes in the caller's transaction and return how many were accepted.

        A message with an idempotency key that is in the instance's inbox, or an external event with one that the
        instance has seen within IDEMPOTENCY_KEY_SECONDS, is accepted without effect. A message to the id of an entity
        creates the entity where there is none.
        """

    @abstractmethod
    def forget_event_keys(self, age: timedelta) -> int:
        """Delete the idempotency keys of events that were raised longer ago, and return how many went."""

    @abstractmethod
    def find_status(self, instance_id: str) -> str | None:
        """The instance's status, or None where it is gone. One cheap look: who waits for an instance looks often."""

    @abstractmethod
    def purge(self, pks: Collection[int]) -> int:
        """Delete ended instances with all their rows, and return how many instances went. Live ones are left alone.

        An instance goes in one transaction; many go in batches of a few hundred, so that nobody waits long for a lock.
        """

    @abstractmethod
    def change_tags(self, pks: Collection[int], changes: Mapping[str, str | None], limit: int) -> set[int]:
        """Set tags of these instances, and remove those given as None; return the instances that now have them so.

        One that would have more than ``limit`` tags is left alone. The rows are locked until the transaction ends.
        """

    @abstractmethod
    def remove_entities(self, pks: Collection[int]) -> int:
        """Delete the entities of these instances that are idle: no state, no lock, no message, no worker at it.

        Returns how many went. One that somebody is sending to is left alone; nothing sent to an entity is lost.
        """

    def together(self) -> AbstractContextManager[None]:
        """Lets statements outside a transaction share round trips where the database can. They may fail at its end."""
        return nullcontext()

    @abstractmethod
    def notify_workers(self) -> None:
        """Hint that there is work; on PostgreSQL a NOTIFY that goes out with the caller's commit, elsewhere nothing."""

    # Workers -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def now(self) -> datetime:
        """The database's clock."""

    @abstractmethod
    def claim_instances(self, token: int, limit: int, message_limit: int = 5_000) -> Claim:
        """Take the lease of up to ``limit`` instances that have something to do, and load their messages in order.

        Something to do: an execution to begin (``claimable_at`` due) or a visible inbox message. Free instances and
        those that ``token`` holds already are taken; never one that another token holds. Counts the attempt.
        """

    @abstractmethod
    def load_history(self, executions: Mapping[int, int]) -> dict[int, LoadedHistory]:
        """The input and history of each {instance pk: execution}."""

    @abstractmethod
    def load_entities(self, pks: Collection[int]) -> dict[int, EntityRecord]:
        """The entities of these instances; one that has not had an operation yet has none."""

    @abstractmethod
    def commit(self, token: int, checkpoints: Sequence[Checkpoint]) -> CommitResult:
        """Write all checkpoints in one transaction, each only if its row still carries what the worker believes.

        Resets the attempt count. A child whose id a live instance has becomes a SubOrchestrationInstanceFailed message
        to its parent in the same transaction. Raises whatever the database raises; then nothing was written.
        """

    @abstractmethod
    def release_instances(self, token: int, pks: Collection[int]) -> None:
        """Give leases back without a change, because the work goes on elsewhere; uncounts nothing."""

    @abstractmethod
    def abandon_instances(self, token: int, reasons: Mapping[int, str], delay: timedelta) -> None:
        """Give leases back and hide the instances' work for ``delay``; ``reasons`` shows as what each waits for.

        The attempt is uncounted: nobody died of it.
        """

    @abstractmethod
    def count_attempts(self, token: int, pks: Collection[int], by: int) -> None:
        """Add to the attempts of instances that ``token`` holds: -1 while it is not their turn, 1 when it is."""

    @abstractmethod
    def drop_messages(self, token: int, messages: Mapping[int, Collection[int]]) -> None:
        """Delete inbox rows that mean nothing any more, by {instance pk: row ids}, and give those leases back."""

    @abstractmethod
    def claim_activities(self, token: int, on_threads: int, on_loop: int = 0) -> list[ClaimedActivity]:
        """Take free, visible work items, the oldest of each kind first, counting the dispatch before they run.

        Up to so many that need a thread, so many that need a place on the event loop, and CLAIMED_BESIDES that need
        neither or of which it is not known: a kind that is full is in nobody's way.
        """

    @abstractmethod
    def detach_activities(
        self,
        token: int,
        keys: Collection[ActivityKey],
        delay: timedelta = timedelta(),
        runs_on: str | None = None,
    ) -> None:
        """Give work items back unrun, free for any worker after ``delay``; their dispatch is uncounted.

        With ``runs_on`` they are known to need that from now on.
        """

    @abstractmethod
    def complete_activities(self, token: int, completions: Sequence[ActivityCompletion]) -> int:
        """Delete each work item that ``token`` still holds and put its event into the inbox, in one transaction.

        Returns how many were accepted; a completion whose item is gone or held by another is dropped (one completion
        per task).
        """

    @abstractmethod
    def fire_timers(self, limit: int = 500) -> int:
        """Turn due timers into TimerFired messages, in due order, each exactly once; return how many were due.

        Those of an execution that is over become Cancelled instead, without a message.
        """

    @abstractmethod
    def next_due_at(self) -> datetime | None:
        """When the next timer, scheduled start or hidden message becomes due; None when nothing is waiting for time."""

    @abstractmethod
    def has_work(self, *, overdue: bool = False) -> bool:
        """Whether any free instance or work item could be claimed now. A hint, cheap, without locks.

        With ``overdue`` only what has waited longer than a draining worker takes to come round (OVERDUE).
        """
