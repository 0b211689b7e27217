"""Bulk jobs: one act on many instances, done by the workers a batch at a time."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from orchestrations.limits import HUB_LENGTH, IDEMPOTENCY_KEY_LENGTH, INSTANCE_ID_LENGTH
from orchestrations.models.api_keys import ApiKey
from orchestrations.models.audit import AuditEntry
from orchestrations.models.clock import Now

WHY_LENGTH = 300


class BulkJob(models.Model):
    """One act on a selection of instances, how far it has come, and what became of each so far.

    What one batch does to instances and what it writes here commit together, so that ``cursor`` and the counts are
    exact whenever a worker is killed. ``batches`` is the fence: a batch counts it up first, and only from the number
    that it has read.
    """

    class State(models.TextChoices):
        PENDING = "Pending"
        RUNNING = "Running"
        COMPLETED = "Completed"
        STOPPED = "Stopped"
        FAILED = "Failed"

    class Creator(models.TextChoices):
        """In whose name it acts: with whose rights."""

        USER = "user"
        API_KEY = "api_key"
        SYSTEM_KEY = "system_key"

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    action = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict, blank=True)
    selection = models.TextField(help_text="A filter as it was when the job was made, or a list of ids, as JSON.")
    reason = models.TextField(default="", blank=True)

    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    cursor = models.JSONField(null=True, blank=True, help_text="Behind which instance the next batch begins.")
    batches = models.IntegerField(default=0)
    total = models.IntegerField(null=True, blank=True, help_text="Instances chosen; counted as the job begins.")
    total_is_capped = models.BooleanField(default=False)
    done = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0, help_text="Their status or a right did not allow it.")
    failed = models.IntegerField(default=0)
    error = models.TextField(default="", blank=True, help_text="Why the job as a whole failed.")

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    creator = models.CharField(max_length=10, choices=Creator, default=Creator.USER, db_default=Creator.USER)
    created_by_key = models.ForeignKey(
        ApiKey, null=True, blank=True, on_delete=models.SET_NULL, db_index=False, related_name="+"
    )
    creator_name = models.CharField(max_length=150)
    via = models.CharField(max_length=20, choices=AuditEntry.Via)
    address = models.GenericIPAddressField(null=True, blank=True)
    request_key = models.CharField(
        max_length=IDEMPOTENCY_KEY_LENGTH, null=True, blank=True, help_text="A second request with it makes no job."
    )
    stopped_by = models.CharField(max_length=150, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "durable_bulk_job"
        constraints = [
            models.UniqueConstraint(fields=["created_by", "request_key"], name="durable_bulk_job_once"),
            models.UniqueConstraint(fields=["created_by_key", "request_key"], name="durable_bulk_job_key_once"),
            models.UniqueConstraint(
                fields=["request_key"], condition=Q(creator="system_key"), name="durable_bulk_job_system_once"
            ),
        ]
        indexes = [
            models.Index(fields=["hub", "-id"], name="durable_bulk_job_newest"),
            models.Index(
                fields=["hub", "updated_at"],
                name="durable_bulk_job_open",
                condition=Q(state__in=["Pending", "Running"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} (job {self.pk})"

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state not in OPEN_STATES

    @property
    def handled(self) -> int:
        """Instances that have had their turn."""
        return self.done + self.skipped + self.failed

    @property
    def gone(self) -> int:
        """Of a completed job: instances that were counted and no longer matched when their turn came."""
        if self.state != self.State.COMPLETED or self.total is None or self.total_is_capped:
            return 0
        return max(self.total - self.handled, 0)


class BulkProblem(models.Model):
    """An instance that a job did not act on, and why. Of each outcome the first ``BULK_PROBLEMS`` are kept.

    Written with the batch in which it had its turn, and forgotten with the job.
    """

    class Outcome(models.TextChoices):
        SKIPPED = "skipped"
        FAILED = "failed"

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(BulkJob, on_delete=models.CASCADE, db_index=False, related_name="problems")
    instance_id = models.CharField(max_length=INSTANCE_ID_LENGTH)
    outcome = models.CharField(max_length=16, choices=Outcome)
    why = models.CharField(max_length=WHY_LENGTH)

    class Meta:
        db_table = "durable_bulk_problem"
        indexes = [
            models.Index(fields=["job", "id"], name="durable_bulk_problem_all"),
            models.Index(fields=["job", "outcome", "id"], name="durable_bulk_problem_outcome"),
        ]

    def __str__(self) -> str:
        return f"{self.instance_id}: {self.outcome}"


OPEN_STATES = (BulkJob.State.PENDING, BulkJob.State.RUNNING)
