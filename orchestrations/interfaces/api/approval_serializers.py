"""What requests about questions to people may hold, and what a question looks like."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from orchestrations.interfaces.api.serializers import Asked, Json, PageQuery, Text
from orchestrations.limits import REASON_LENGTH
from orchestrations.models import HumanComment, HumanTask
from orchestrations.models.human import USERNAME_LENGTH
from orchestrations.reading.inbox import Tab


class ApprovalListQuery(PageQuery):
    """Which part of your inbox."""

    tab = serializers.ChoiceField([tab.value for tab in Tab], required=False, default=Tab.GROUPS.value)


class ApprovalAnswerBody(Asked):
    """An answer, as the question's form wants it."""

    answer = Json()
    comment = Text(required=False, allow_blank=True, max_length=REASON_LENGTH, default="")


class OverrideBody(Asked):
    """A decision over the heads of those who were asked."""

    answer = Json()
    reason = Text(max_length=REASON_LENGTH)


class DelegateBody(Asked):
    """Who is to answer instead, and why."""

    to = Text(max_length=USERNAME_LENGTH, help_text="A username.")
    reason = Text(max_length=REASON_LENGTH)


class CommentBody(Asked):
    """Something to say."""

    text = Text(max_length=REASON_LENGTH)


class ApprovalSummary(serializers.Serializer[Any]):
    """A question as lists show it."""

    id = serializers.IntegerField()
    instance_id = serializers.CharField()
    orchestrator = serializers.CharField()
    event = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(HumanTask.State.values)
    priority = serializers.IntegerField()
    asked_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    approvals = serializers.IntegerField()
    approvals_needed = serializers.IntegerField()
    rejections = serializers.IntegerField()
    rejections_needed = serializers.IntegerField()
    assignee = serializers.CharField(allow_null=True)
    answered_by = serializers.CharField(help_text="Empty while nobody has decided.")
    outcome = serializers.CharField()
    closed_at = serializers.DateTimeField(allow_null=True)
    url = serializers.URLField()


class ApprovalVote(serializers.Serializer[Any]):
    """One person's vote."""

    by = serializers.CharField()
    at = serializers.DateTimeField()
    outcome = serializers.CharField()
    comment = serializers.CharField()
    via = serializers.CharField()


class ApprovalLine(serializers.Serializer[Any]):
    """A line of a question's thread."""

    kind = serializers.ChoiceField(HumanComment.Kind.values)
    by = serializers.CharField()
    at = serializers.DateTimeField()
    text = serializers.CharField()
    to = serializers.CharField()


class ApprovalDetail(ApprovalSummary):
    """A question with all that it takes to answer it."""

    description = serializers.CharField()
    summary = serializers.DictField(child=serializers.CharField())
    form = serializers.JSONField(help_text="The fields of the form.")
    initial = serializers.JSONField(allow_null=True)
    on_timeout = Json(help_text="The answer that the deadline gives.")
    may_not_answer = serializers.CharField(help_text="Why you may not answer; empty where you may.")
    votes = ApprovalVote(many=True)
    thread = ApprovalLine(many=True)


class ApprovalPage(serializers.Serializer[Any]):
    """A page of questions."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ApprovalSummary(many=True)
