"""What orchestrations ask of people: tasks, who is asked, their votes and comments, and the notices sent to them."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from orchestrations.limits import HUB_LENGTH, NAME_LENGTH
from orchestrations.models.clock import Now
from orchestrations.models.instances import Instance

USERNAME_LENGTH = 150
OUTCOME_LENGTH = 100
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""What a task without a deadline has in ``urgent_at``: it sorts behind every deadline."""
LEFT_OUT = "excluded:"
"""What the key of somebody who is left out of a task begins with."""


class HumanTask(models.Model):
    """A question that an instance puts to people, from its being asked to its end.

    The engine writes it in the transaction of the episode that asks, and closes it in the one in which the wait ends;
    people's acts lock the row. It says all that a page needs, so that a web process which lacks the form's code can
    still show it. Columns named ``…, as JSON`` hold JSON text. It goes when its instance is purged; the audit stays.
    """

    class State(models.TextChoices):
        OPEN = "open"
        PARTLY_ANSWERED = "partly_answered"
        ESCALATED = "escalated"
        ANSWERED = "answered"
        EXPIRED = "expired"
        WITHDRAWN = "withdrawn"

    LIVE = (State.OPEN, State.PARTLY_ANSWERED, State.ESCALATED)

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="human_tasks"
    )
    execution = models.IntegerField()
    generation = models.IntegerField(default=1, help_text="The execution that began with the present input.")
    wait_id = models.IntegerField()
    name = models.CharField("event", max_length=NAME_LENGTH)

    title = models.CharField(max_length=300)
    description = models.TextField(default="", blank=True)
    summary = models.TextField(default="{}", help_text="Labels and texts beside the question, as JSON.")
    form = models.CharField(max_length=300, default="", blank=True, help_text="Where the declared form is imported.")
    form_version = models.IntegerField(default=1)
    schema = models.TextField(default="{}", help_text="The form's fields as they were when it was asked, as JSON.")
    initial = models.TextField(default="{}", help_text="What the form begins with, as JSON.")
    assignment = models.TextField(default="{}", help_text="Who is asked and who is left out, as JSON.")
    quorum_approve = models.SmallIntegerField(default=1, help_text="Approving votes that decide.")
    quorum_reject = models.SmallIntegerField(default=1, help_text="Rejecting votes that decide.")
    on_timeout = models.TextField(default="", blank=True, help_text="The answer that the deadline gives, as JSON.")
    escalation = models.TextField(null=True, blank=True, help_text="Who is asked besides later, as JSON.")
    reminders = models.TextField(default="[]", help_text="When the people are still to be reminded, as JSON.")
    notify = models.TextField(default="[]", help_text="The channels by which they are told, as JSON.")
    priority = models.SmallIntegerField(default=0)
    undo_seconds = models.IntegerField(default=0, help_text="How long a decision may be taken back.")

    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    urgent_at = models.DateTimeField(default=NEVER, help_text="The deadline, or far away: the order of the inbox.")
    escalate_at = models.DateTimeField(null=True, blank=True)
    next_notice_at = models.DateTimeField(null=True, blank=True, help_text="When there is something to do about it.")

    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    approvals = models.SmallIntegerField(default=0)
    rejections = models.SmallIntegerField(default=0)
    row_version = models.IntegerField(default=1, help_text="Grows with every change.")
    link_version = models.IntegerField(default=1, help_text="Links of an earlier one are void.")
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, db_index=False, related_name="+"
    )
    seen_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.CharField(max_length=USERNAME_LENGTH, default="", blank=True)
    outcome = models.CharField(max_length=OUTCOME_LENGTH, default="", blank=True)
    deliver_at = models.DateTimeField(null=True, blank=True, help_text="Until when the decision may be taken back.")
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "durable_task"
        constraints = [models.UniqueConstraint(fields=["instance", "execution", "wait_id"], name="durable_task_once")]
        indexes = [
            models.Index(
                fields=["hub", "urgent_at", "id"],
                name="durable_task_urgent",
                condition=Q(state__in=["open", "partly_answered", "escalated"]),
            ),
            models.Index(
                fields=["hub", "id", "row_version"],
                name="durable_task_changes",
                condition=Q(state__in=["open", "partly_answered", "escalated"]),
            ),
            models.Index(fields=["hub", "state", "due_at"], name="durable_task_state"),
            models.Index(
                fields=["assignee", "state"], name="durable_task_assignee", condition=Q(assignee__isnull=False)
            ),
            models.Index(
                fields=["hub", "next_notice_at"],
                name="durable_task_next_notice",
                condition=Q(next_notice_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_live(self) -> bool:
        """Whether it can still be answered."""
        return self.state in self.LIVE


class HumanAudience(models.Model):
    """One of those whom a task is put to, or who is left out, so that inboxes are quick.

    Those who are left out are there as long as the task: they asked for it. The others go when it is closed.
    ``key`` is ``user:NAME``, ``group:NAME``, ``permission:APP.CODENAME``, ``anyone``, or ``excluded:NAME``.
    """

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    execution = models.IntegerField()
    wait_id = models.IntegerField()
    key = models.CharField(max_length=300)

    class Meta:
        db_table = "durable_task_audience"
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "execution", "wait_id", "key"], name="durable_task_audience_once"
            )
        ]
        indexes = [models.Index(fields=["hub", "key", "instance"], name="durable_task_audience_key")]

    def __str__(self) -> str:
        return self.key


class Concerning(models.Model):
    """What is said about a task, by whom and when. It goes with the task's instance."""

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey(
        HumanTask, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="%(class)ss"
    )
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, db_index=False, related_name="+"
    )
    username = models.CharField(max_length=USERNAME_LENGTH)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True


class HumanVote(Concerning):
    """One person's answer to a task. Name and time are stamped by the site; ``data`` is what the form let through."""

    class CountsAs(models.TextChoices):
        APPROVE = "approve"
        REJECT = "reject"

    outcome = models.CharField(max_length=OUTCOME_LENGTH, default="", blank=True)
    counts_as = models.CharField(max_length=8, choices=CountsAs)
    data = models.TextField(default="{}", help_text="The cleaned answer, as JSON.")
    comment = models.TextField(default="", blank=True)
    via = models.CharField(max_length=20)

    class Meta:
        db_table = "durable_task_vote"
        constraints = [models.UniqueConstraint(fields=["task", "username"], name="durable_task_vote_once")]
        indexes = [
            models.Index(fields=["user", "-at", "-id"], name="durable_task_vote_user"),
            models.Index(fields=["instance"], name="durable_task_vote_instance"),
        ]

    def __str__(self) -> str:
        return f"{self.username}: {self.outcome or self.counts_as}"


class HumanComment(Concerning):
    """A line of the thread on a task: what somebody said, or did with it beside answering."""

    class Kind(models.TextChoices):
        COMMENT = "comment"
        CLAIMED = "claimed"
        RELEASED = "released"
        DELEGATED = "delegated"
        OVERRIDDEN = "overridden"
        ESCALATED = "escalated"

    kind = models.CharField(max_length=12, choices=Kind, default=Kind.COMMENT)
    text = models.TextField(default="", blank=True)
    to = models.CharField(max_length=USERNAME_LENGTH, default="", blank=True, help_text="To whom it was delegated.")

    class Meta:
        db_table = "durable_task_comment"
        indexes = [
            models.Index(fields=["task", "id"], name="durable_task_comment_task"),
            models.Index(fields=["instance"], name="durable_task_comment_instance"),
        ]

    def __str__(self) -> str:
        return f"{self.username}: {self.text or self.kind}"


class HumanFollowUp(models.Model):
    """Until when a person does not want to see a task in the own inbox."""

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey(HumanTask, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+")
    until = models.DateTimeField()

    class Meta:
        db_table = "durable_task_follow_up"
        constraints = [models.UniqueConstraint(fields=["task", "user"], name="durable_task_follow_up_once")]
        indexes = [models.Index(fields=["instance"], name="durable_task_follow_instance")]

    def __str__(self) -> str:
        return f"not before {self.until:%Y-%m-%d %H:%M}"


class HumanNotice(models.Model):
    """A message to one person about a task: made once for each occasion, sent after that is committed, and retried."""

    class Kind(models.TextChoices):
        ASKED = "asked"
        REMINDER = "reminder"
        ESCALATED = "escalated"
        DELEGATED = "delegated"

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    task = models.ForeignKey(
        HumanTask, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="notices"
    )
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    kind = models.CharField(max_length=10, choices=Kind)
    number = models.IntegerField(default=1, help_text="Which one of its kind.")
    channel = models.CharField(max_length=40)
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    send_at = models.DateTimeField(null=True, blank=True, help_text="When it is tried next; empty once that is over.")
    attempts = models.SmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, default="", blank=True)
    wrong_codes = models.SmallIntegerField(default=0, help_text="Wrong codes typed under the link of this message.")

    class Meta:
        db_table = "durable_task_notice"
        constraints = [
            models.UniqueConstraint(
                fields=["task", "kind", "number", "channel", "recipient"], name="durable_task_notice_once"
            )
        ]
        indexes = [
            models.Index(fields=["hub", "send_at"], name="durable_task_notice_due", condition=Q(send_at__isnull=False)),
            models.Index(fields=["instance"], name="durable_task_notice_instance"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}"
