"""What bodies of requests may hold, and what answers hold beside the wire format. Names are in camelCase."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

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


class WebhookChanges(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What is to be another with a webhook; what is left out stays."""

    name: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    events: list[str] | UnsetType = UNSET
    hub: str | UnsetType = UNSET
    """Of which task hub it hears: the site's own, which a new webhook has, or empty for every one."""
    name_pattern: str | UnsetType = UNSET
    include_payloads: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def values(self) -> dict[str, Any]:
        """Those that are there."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in given.items() if value is not UNSET}


class NewWebhook(WebhookChanges, kw_only=True):
    """A webhook to be made."""

    name: str
    url: str
    events: list[str]


class Webhook(Struct, rename="camel", frozen=True):
    """An outgoing webhook. Its secret is there in the answer to the request that made it, and never again."""

    id: int
    name: str
    url: str
    events: list[str]
    hub: str
    name_pattern: str
    include_payloads: bool
    enabled: bool
    failing_since: str | None
    disabled_reason: str
    previous_secret_until: str | None
    created_time: str
    secret: str | UnsetType = UNSET


class Secret(Struct, rename="camel", frozen=True):
    """A webhook's new secret, and until when the former one counts too."""

    secret: str
    previous_secret_until: str | None


class Delivery(Struct, rename="camel", frozen=True):
    """A message to a webhook. What it says is there where one is asked for; null for who may not see payloads."""

    id: int
    message_id: str
    event: str
    instance_id: str
    execution: int
    state: str
    attempts: int
    last_status: int | None
    last_error: str
    created_time: str
    next_attempt_time: str | None
    delivered_time: str | None
    message: Any = UNSET
