"""What requests about single tasks may hold."""

from __future__ import annotations

from orchestrations.interfaces.api.batch_serializers import Explanation
from orchestrations.interfaces.api.serializers import Asked, Payload, Text
from orchestrations.limits import REASON_LENGTH


class TaskBody(Asked):
    """Why a task is hastened."""

    reason = Text(max_length=REASON_LENGTH, required=False, allow_blank=True, default="")


class CompleteBody(Asked):
    """The result of an activity, and why it is given by hand."""

    result = Payload(required=False, default=None)
    reason = Explanation(max_length=REASON_LENGTH)
