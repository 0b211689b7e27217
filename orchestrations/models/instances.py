"""Orchestration instances: one row each, whatever the number of executions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.limits import HUB_LENGTH, INSTANCE_ID_LENGTH, NAME_LENGTH
from orchestrations.models.clock import Now
from orchestrations.models.payloads import PayloadField

STATUS_CHOICES = [(status.value, status.value) for status in RuntimeStatus]
START_COLUMNS = ("input", "first_input", "version", "first_version", "tags")
"""What it takes to start an instance again as it was started, beside its name."""
ORCHESTRATION = Q(is_entity=False)
"""What every list of orchestrations asks for, so that its index holds no entities to step over."""
TERMINAL_STATUSES = sorted(status.value for status in TERMINAL)


class Instance(models.Model):
    """One orchestration instance, or the inbox and lease of an entity.

    ``execution`` is the generation: it grows with continue-as-new, rewind, a retried sub-orchestration and a new start
    under the same id, and history rows belong to one of them. ``last_sequence`` and ``lease_token`` are what every
    commit of a worker must believe (fencing). Payload columns hold JSON text exactly as encoded; lists never load them.
    """

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance_id = models.CharField(max_length=INSTANCE_ID_LENGTH)
    name = models.CharField("orchestrator", max_length=NAME_LENGTH)
    version = models.CharField(max_length=64, default="", blank=True)
    status = models.CharField(max_length=16, choices=STATUS_CHOICES, default=RuntimeStatus.PENDING.value)
    tags = models.JSONField(default=dict, blank=True)
    is_entity = models.BooleanField(
        default=False, db_default=False, help_text="An entity, which no list of orchestrations shows."
    )

    execution = models.IntegerField(default=1)
    last_sequence = models.IntegerField(default=0)
    lease_token = models.BigIntegerField(null=True, blank=True)
    attempts = models.SmallIntegerField(
        default=0, help_text="Claims since the last commit; more than one means that a worker died on it."
    )
    claimable_at = models.DateTimeField(
        null=True, blank=True, help_text="From when an execution that has not begun may be claimed."
    )

    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="children",
    )
    parent_execution = models.IntegerField(null=True, blank=True)
    parent_task_id = models.IntegerField(null=True, blank=True)

    forked_from = models.CharField(
        max_length=INSTANCE_ID_LENGTH,
        null=True,
        blank=True,
        help_text="The id of the instance whose history it began with, which may be gone.",
    )
    forked_step = models.IntegerField(
        null=True, blank=True, help_text="The event of that history from which it runs again."
    )

    input = PayloadField(null=True, blank=True)
    first_input = PayloadField(
        null=True, blank=True, help_text="The input of the start, where continue-as-new has replaced it."
    )
    first_version = models.CharField(
        max_length=64,
        null=True,
        blank=True,
        help_text="The version of the start; none until the first continue-as-new.",
    )
    output = PayloadField(null=True, blank=True)
    custom_status = models.TextField(null=True, blank=True)
    failure = PayloadField(null=True, blank=True, help_text="Failure details with their cause chain, as JSON.")

    error = models.CharField(max_length=300, default="", blank=True, help_text="One line of the failure, for lists.")
    error_fingerprint = models.CharField(
        max_length=16, default="", db_default="", blank=True, help_text="The same for failures of the same kind."
    )
    waiting_for = models.CharField(max_length=300, default="", blank=True, help_text="One line of what it waits for.")
    waits = models.TextField(null=True, blank=True, help_text="What it waits for and since when, as JSON.")
    blocked_at = models.CharField(
        max_length=400, default="", blank=True, help_text="File and line at which the orchestrator waits."
    )
    blocked_code = models.CharField(max_length=300, default="", blank=True, help_text="The source of that line.")
    blocked_stack = models.TextField(
        null=True, blank=True, help_text="The calls that led there from the orchestrator's own line, if any, as JSON."
    )

    created_at = models.DateTimeField(db_default=Now())
    scheduled_start_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    last_updated_at = models.DateTimeField(db_default=Now())
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "durable_instance"
        constraints = [models.UniqueConstraint(fields=["hub", "instance_id"], name="durable_instance_id_once")]
        indexes = [
            models.Index(fields=["hub", "-created_at", "-id"], name="durable_inst_created", condition=ORCHESTRATION),
            models.Index(fields=["hub", "-created_at", "-id"], name="durable_inst_entity", condition=Q(is_entity=True)),
            models.Index(
                fields=["hub", "status", "-created_at", "-id"], name="durable_inst_status", condition=ORCHESTRATION
            ),
            models.Index(
                fields=["hub", "name", "-created_at", "-id"], name="durable_inst_name", condition=ORCHESTRATION
            ),
            models.Index(
                fields=["hub", "claimable_at"], name="durable_inst_claimable", condition=Q(claimable_at__isnull=False)
            ),
            models.Index(
                fields=["hub", "status", "completed_at", "id"],
                name="durable_inst_completed",
                condition=Q(completed_at__isnull=False),
            ),
            models.Index(
                fields=["hub", "error_fingerprint", "-created_at", "-id"],
                name="durable_inst_alike",
                condition=~Q(error_fingerprint=""),
            ),
            models.Index(fields=["lease_token"], name="durable_inst_lease", condition=Q(lease_token__isnull=False)),
            models.Index(fields=["parent"], name="durable_inst_parent", condition=Q(parent__isnull=False)),
            models.Index(
                fields=["hub", "forked_from"], name="durable_inst_forks", condition=Q(forked_from__isnull=False)
            ),
        ]
        permissions = [
            ("start_instance", "Can start orchestration instances"),
            ("raise_event", "Can raise external events and answer approvals"),
            ("raise_unvalidated", "Can raise external events past the check by the form of a task"),
            ("override_task", "Can decide tasks that are put to other people"),
            ("terminate_instance", "Can terminate orchestration instances"),
            ("suspend_instance", "Can suspend and resume orchestration instances"),
            ("rewind_instance", "Can rewind failed orchestration instances"),
            ("purge_instance", "Can purge ended orchestration instances"),
            ("tag_instance", "Can set and remove tags of orchestration instances"),
            ("hasten_task", "Can retry waiting tasks now and skip timers"),
            ("complete_task", "Can complete activities by hand"),
            ("signal_entity", "Can signal entities"),
            ("clean_entities", "Can remove empty entities and release orphaned locks"),
            ("view_payloads", "Can see inputs, outputs and event payloads"),
        ]

    def __str__(self) -> str:
        return self.instance_id

    @property
    def runtime_status(self) -> RuntimeStatus:
        """The status as an enumeration member."""
        return RuntimeStatus(self.status)

    @property
    def has_continued(self) -> bool:
        """Whether continue-as-new has replaced what it was started with."""
        return self.first_version is not None

    @property
    def start_input(self) -> str | None:
        """The input of its start as JSON text, whatever continue-as-new has made of it. Raises PayloadUnavailable."""
        return self.first_input if self.has_continued else self.input

    @property
    def start_version(self) -> str:
        """The version of its start."""
        return self.version if self.first_version is None else self.first_version
