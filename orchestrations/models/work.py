"""What is in flight: messages to instances, timers, activities to run, and the workers that hold them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from orchestrations.core.events import EventType
from orchestrations.limits import BUILD_LENGTH, HUB_LENGTH, NAME_LENGTH
from orchestrations.models.clock import Now
from orchestrations.models.instances import Instance
from orchestrations.models.payloads import PayloadField


class InboxMessage(models.Model):
    """An event on its way to an instance. It belongs to the instance; ``execution`` is set where only one may take it.

    Messages of one instance are taken in the order of ``id``. A row is deleted by the commit that appends its event.
    One without ``visible_at`` waits for its entity to be unlocked.
    """

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="inbox"
    )
    execution = models.IntegerField(null=True, blank=True)
    type = models.CharField(max_length=40, choices=[(event.value, event.value) for event in EventType])
    task_id = models.IntegerField(null=True, blank=True)
    attempt = models.SmallIntegerField(default=1)
    name = models.CharField(max_length=NAME_LENGTH, null=True, blank=True)
    payload = PayloadField(null=True, blank=True)
    attributes = models.TextField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    visible_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)

    class Meta:
        db_table = "durable_inbox"
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "idempotency_key"],
                name="durable_inbox_key_once",
                condition=Q(idempotency_key__isnull=False),
            )
        ]
        indexes = [
            models.Index(fields=["hub", "visible_at", "id"], name="durable_inbox_visible"),
            models.Index(fields=["instance", "id"], name="durable_inbox_instance"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.name or ''}".strip()


class Timer(models.Model):
    """A durable timer. ``attempt`` is 0 for the author's own timers, else the retry attempt that it delays."""

    class State(models.TextChoices):
        PENDING = "Pending"
        FIRED = "Fired"
        CANCELLED = "Cancelled"

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="timers"
    )
    execution = models.IntegerField()
    task_id = models.IntegerField()
    attempt = models.SmallIntegerField(default=0)
    due_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)

    class Meta:
        db_table = "durable_timer"
        constraints = [
            models.UniqueConstraint(fields=["instance", "execution", "task_id", "attempt"], name="durable_timer_once")
        ]
        indexes = [models.Index(fields=["hub", "due_at"], name="durable_timer_due", condition=Q(state="Pending"))]

    def __str__(self) -> str:
        return f"timer {self.task_id} at {self.due_at:%Y-%m-%d %H:%M:%S}"


class ActivityWorkItem(models.Model):
    """A scheduled activity that has not ended. Its input is in the TaskScheduled event at ``sequence``.

    ``dispatches`` is counted and committed before the activity runs, so that one that kills its process is found out.
    While ``deferred_until`` is set, the activity has returned and is to be completed from outside; what claims it at
    ``visible_at`` lets it fail.
    """

    class RunsOn(models.TextChoices):
        """What it takes of a worker to run. Workers claim of each kind as many as they have room for."""

        THREAD = "thread", "a thread"
        LOOP = "loop", "a place on the event loop"
        NOTHING = "", "not known, or none because there is nothing to run"

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="work_items"
    )
    execution = models.IntegerField()
    generation = models.IntegerField(default=1, help_text="The execution that began with the present input.")
    task_id = models.IntegerField()
    attempt = models.SmallIntegerField(default=1, help_text="Of the retry policy, from 1.")
    sequence = models.IntegerField()
    name = models.CharField("activity", max_length=NAME_LENGTH)
    timeout_seconds = models.FloatField(null=True, blank=True)
    scheduled_at = models.DateTimeField()
    visible_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    dispatches = models.SmallIntegerField(default=0)
    lease_token = models.BigIntegerField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    heartbeat_details = models.TextField(null=True, blank=True, help_text="What it last told of its progress, as JSON.")
    deferred_until = models.DateTimeField(
        null=True, blank=True, help_text="Until when it may be completed from outside."
    )
    runs_on = models.CharField(
        "runs on",
        max_length=8,
        choices=RunsOn,
        default=RunsOn.THREAD,
        db_default=RunsOn.THREAD,
        blank=True,
        help_text="As the worker that scheduled it knew the activity.",
    )

    class Meta:
        db_table = "durable_activity"
        constraints = [
            models.UniqueConstraint(fields=["instance", "execution", "task_id"], name="durable_activity_once")
        ]
        indexes = [
            models.Index(
                fields=["hub", "visible_at", "id"], name="durable_activity_free", condition=Q(lease_token__isnull=True)
            ),
            models.Index(
                fields=["hub", "runs_on", "visible_at", "id"],
                name="durable_activity_runs_on",
                condition=Q(lease_token__isnull=True),
            ),
            models.Index(fields=["lease_token"], name="durable_activity_lease", condition=Q(lease_token__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.name} (task {self.task_id})"


class WorkerLease(models.Model):
    """One running worker process. What it holds carries ``token``; when the row expires, others may take it."""

    token = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    worker = models.CharField(max_length=200, help_text="host:pid")
    host = models.CharField(max_length=150)
    pid = models.IntegerField()
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    in_flight = models.IntegerField(default=0, help_text="Activities running at the last heartbeat.")
    capacity = models.IntegerField(default=0)
    functions = models.TextField(default="{}", help_text="Registered functions by kind, as JSON.")
    build = models.CharField(
        max_length=BUILD_LENGTH, default="", db_default="", blank=True, help_text="DURABLE['BUILD'] of the process."
    )

    class Meta:
        db_table = "durable_worker"
        indexes = [models.Index(fields=["hub", "expires_at"], name="durable_worker_expires")]

    def __str__(self) -> str:
        return self.worker


class LostWorker(models.Model):
    """A worker process whose lease ran out: killed, hung, or cut off. Kept for a while, so that people learn of it."""

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    worker = models.CharField(max_length=200, help_text="host:pid")
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    lost_at = models.DateTimeField()
    in_flight = models.IntegerField(help_text="Activities running at the last heartbeat.")

    class Meta:
        db_table = "durable_lost_worker"
        indexes = [models.Index(fields=["hub", "-lost_at"], name="durable_lost_worker_newest")]

    def __str__(self) -> str:
        return self.worker
