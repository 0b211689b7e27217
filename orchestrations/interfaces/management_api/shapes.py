"""What bodies of requests may hold, and what answers hold beside the wire format. Names are in camelCase."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from orchestrations.limits import REASON_LENGTH, TAG_CHARACTERS, TAGS

TagName = Annotated[str, Meta(max_length=TAG_CHARACTERS)]
TagChanges = Annotated[dict[TagName, TagName | None], Meta(min_length=1, max_length=TAGS)]
"""Each tag with its value, or null to remove it."""


class AnswerBody(Struct, rename="camel", forbid_unknown_fields=True):
    """An answer, as the question's form wants it, and what is to be said with it."""

    answer: Any
    comment: Annotated[str, Meta(max_length=REASON_LENGTH)] = ""


class Approval(Struct, rename="camel", frozen=True):
    """A question that an instance puts to people. What the instance told is null for who may not see payloads."""

    id: int
    instance_id: str
    event: str
    title: str
    description: str | None
    summary: dict[str, str] | None
    form: Any
    """The fields of the form, and whether the answer is the value of the one field (``wrapped``)."""
    initial: Any
    """What the form begins with."""
    state: str
    priority: int
    asked_time: str
    due_time: str | None
    approvals: int
    approvals_needed: int
    rejections: int
    rejections_needed: int
    answered_by: str
    """Empty while nobody has decided."""
    outcome: str
    closed_time: str | None


class Count(Struct, rename="camel", frozen=True):
    """How many instances have one value. With ``isCapped`` there are more than were counted."""

    value: str | None
    """None where they have none."""
    count: int
    is_capped: bool
