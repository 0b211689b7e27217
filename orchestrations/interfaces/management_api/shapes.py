"""What bodies of requests may hold, and what answers hold beside the wire format. Names are in camelCase."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import (
    BULK_IDS,
    INSTANCE_ID_LENGTH,
    NAME_LENGTH,
    REASON_LENGTH,
    TAG_CHARACTERS,
    TAGS,
    VERSION_LENGTH,
)

ERROR_LINE = 300  # characters of the line that tells of a failure
PRINTABLE = {"pattern": "^[^\\x00-\\x1f\\x7f]*$"}  # said in the schema; the client checks it
STORABLE = {"pattern": "^[^\\x00]*$"}
Name = Annotated[str, Meta(max_length=NAME_LENGTH, extra_json_schema=STORABLE)]
Id = Annotated[str, Meta(max_length=INSTANCE_ID_LENGTH, extra_json_schema=STORABLE)]
TagName = Annotated[str, Meta(max_length=TAG_CHARACTERS, extra_json_schema=PRINTABLE)]
TagValue = Annotated[str, Meta(max_length=TAG_CHARACTERS, extra_json_schema=STORABLE)]
TagChanges = Annotated[dict[TagName, TagValue | None], Meta(min_length=1, max_length=TAGS)]
Reason = Annotated[str, Meta(max_length=REASON_LENGTH, extra_json_schema=STORABLE)]
Instant = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
"""Each tag with its value, or null to remove it."""


class AnswerBody(Struct, rename="camel", forbid_unknown_fields=True):
    """An answer, as the question's form wants it, and what is to be said with it."""

    answer: Any
    comment: Reason = ""


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


class BatchFilter(Struct, rename="camel", forbid_unknown_fields=True):
    """Which instances; what is left out narrows nothing, and ``{}`` is all of them."""

    runtime_status: list[RuntimeStatus] = []
    name: Name = ""
    instance_id_prefix: Id = ""
    parent_instance_id: Id = ""
    version: Annotated[str, Meta(max_length=VERSION_LENGTH, extra_json_schema=STORABLE)] | None = None
    """The empty one finds those without a version."""
    tags: Annotated[dict[TagName, TagValue], Meta(max_length=TAGS)] = {}
    error: Annotated[str, Meta(max_length=ERROR_LINE, extra_json_schema=STORABLE)] = ""
    """Part of the line that tells of a failure."""
    created_time_from: Instant | None = None
    created_time_to: Instant | None = None
    """Exclusive."""
    roots_only: bool = False
    """Without sub-orchestrations."""


InstanceIds = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=INSTANCE_ID_LENGTH, extra_json_schema=PRINTABLE)]],
    Meta(min_length=1, max_length=BULK_IDS),
]
BatchAction = Literal["terminate", "suspend", "resume", "rewind", "restart", "purge"]


class BatchBody(Struct, rename="camel", forbid_unknown_fields=True):
    """An act on many instances: those of a filter, or of a list of ids."""

    action: BatchAction
    instances: BatchFilter | InstanceIds
    reason: Reason = ""
    """Why; it takes one to terminate, rewind or purge."""
    recursive: bool | None = None
    """Sub-orchestrations too. By default with a termination only; a rewind and a restart have none."""
    dry_run: bool = False
    """Only say how many it would reach, and which first."""


class Preview(Struct, rename="camel", frozen=True):
    """What an act would reach."""

    count: int
    """Instances whose status allows the act, counted to a cap."""
    is_capped: bool
    left_out: int | None
    """Chosen instances in another status; null where not all were counted."""
    first_instance_ids: list[str]


class BatchSummary(Struct, rename="camel", frozen=True, kw_only=True):
    """A bulk job, and how far it has come."""

    id: int
    url: str
    action: str
    """Those of the REST API and the dashboard among them, which have more."""
    reason: str
    state: Literal["Pending", "Running", "Completed", "Stopped", "Failed"]
    total: int | None
    """Instances chosen; null until the job has begun."""
    total_is_capped: bool
    done: int
    skipped: int
    failed: int
    gone: int
    """Instances that no longer matched when their turn came."""
    error: str
    """Why the job as a whole failed; empty otherwise."""
    created_by: str
    stopped_by: str
    created_time: str
    started_time: str | None
    ended_time: str | None


class BatchProblem(Struct, rename="camel", frozen=True):
    """An instance that was skipped or failed."""

    instance_id: str
    outcome: Literal["skipped", "failed"]
    why: str


class Batch(BatchSummary, frozen=True, kw_only=True, rename="camel"):
    """A bulk job with the first of its problems."""

    recursive: bool
    problems: list[BatchProblem]


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
