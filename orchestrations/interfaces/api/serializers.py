"""What requests may hold and what answers hold. The schema is made of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from orchestrations.access.audit import ACTOR_NAME_LENGTH, DEEDS
from orchestrations.authoring.registry import registry
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.limits import (
    HISTORY_PAGE,
    INSTANCE_ID_LENGTH,
    LIST_PAGE,
    LIST_PAGE_MAXIMUM,
    NAME_LENGTH,
    REASON_LENGTH,
    VERSION_LENGTH,
)
from orchestrations.models import AuditEntry
from orchestrations.store.contract import OnDuplicate

ERROR_LINE = 300  # characters of the line
UNKNOWN_NAMED = 20  # names of one object that nothing has
STATUSES = [status.value for status in RuntimeStatus]
PAYLOAD_STATES = ["shown", "withheld"]
PAYLOADS_ARE = "Whether payloads are shown, or withheld because you may not see them; then they are null."
EVENT_TYPES = [event.value for event in EventType]


@extend_schema_field({"type": "string", "pattern": "^[^\\x00]*$"})
class Text(serializers.CharField):
    """Text as it was sent: white space is part of it, and neither NUL nor a number is. Not empty unless it may be."""

    def __init__(self, **options: Any) -> None:
        if not options.get("allow_blank"):
            options.setdefault("min_length", 1)
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """Take text alone."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """``true`` or ``false`` in a body, and nothing that might be meant so."""

    def to_internal_value(self, data: Any) -> bool:
        """Take a truth value alone."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field({})
class Json(serializers.JSONField):
    """Any JSON value, null among them."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        """Take null for what it is."""
        return (True, None) if data is None else super().validate_empty_values(data)


class Payload(Json):
    """Any JSON value in a body, which is stored as it came."""

    def to_internal_value(self, data: Any) -> Any:
        """Take it: that it is JSON was seen when the body was read."""
        return data


class Asked(serializers.Serializer[Any]):
    """What a caller may send. What means nothing is refused: a slip of the pen would change what happens."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what is not declared."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        if unknown:
            raise serializers.ValidationError(self.unknown(unknown))
        return super().to_internal_value(data)

    def unknown(self, names: Sequence[str]) -> dict[str, list[str]]:
        """What is said of the first names that are not declared."""
        message = f"Nothing has this name here. Known: {', '.join(self.fields)}."
        return {name: [message] for name in names[:UNKNOWN_NAMED]}


# Queries ----------------------------------------------------------------------------------------------------------


@extend_schema_field({"type": "string", "pattern": "^[^\\x00:]+:[^\\x00]*$"})
class Tag(Text):
    """A tag as ``name:value``; becomes a pair."""

    default_error_messages: ClassVar = {"separator": "Write a tag as name:value."}

    def to_internal_value(self, data: Any) -> Any:
        """The pair of its name and value."""
        name, separator, value = super().to_internal_value(data).partition(":")
        if not (name and separator):
            self.fail("separator")
        return name, value


class PageQuery(Asked):
    """Which page of a list."""

    cursor = Text(required=False, help_text="From the address of a page before or after.")
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=LIST_PAGE_MAXIMUM, default=LIST_PAGE, help_text="Rows of one page."
    )


class InstanceFilterQuery(Asked):
    """Which instances; what is left out narrows nothing."""

    status = serializers.ListField(
        child=serializers.ChoiceField(STATUSES), required=False, help_text="Repeat it for several."
    )
    name = Text(required=False, max_length=NAME_LENGTH, help_text="The orchestrator.")
    id_prefix = Text(required=False, max_length=INSTANCE_ID_LENGTH, help_text="What the id begins with.")
    parent = Text(  # type: ignore[assignment]
        required=False, max_length=INSTANCE_ID_LENGTH, help_text="The id of the parent instance."
    )
    version = Text(required=False, max_length=VERSION_LENGTH, allow_blank=True, help_text="Empty: those without one.")
    tag = serializers.ListField(child=Tag(), required=False, help_text="Repeat it for several; all must be there.")
    error = Text(
        required=False, max_length=ERROR_LINE, help_text="Part of the line that tells of a failure, in any case."
    )
    created_from = serializers.DateTimeField(required=False)
    created_to = serializers.DateTimeField(required=False, help_text="Exclusive.")
    completed_from = serializers.DateTimeField(required=False)
    completed_to = serializers.DateTimeField(required=False, help_text="Exclusive.")
    roots_only = serializers.BooleanField(required=False, default=False, help_text="Without sub-orchestrations.")


class InstanceListQuery(PageQuery, InstanceFilterQuery):
    """Which page of which instances, and in which order."""

    oldest_first = serializers.BooleanField(required=False, default=False)


class HistoryQuery(Asked):
    """Which part of a history."""

    execution = serializers.IntegerField(required=False, min_value=1, help_text="The current one unless given.")
    after = serializers.IntegerField(required=False, min_value=0, default=0, help_text="A sequence number.")
    type = serializers.ListField(
        child=serializers.ChoiceField(EVENT_TYPES), required=False, help_text="Repeat it for several."
    )
    limit = serializers.IntegerField(required=False, min_value=1, max_value=HISTORY_PAGE, default=HISTORY_PAGE)


class StreamQuery(Asked):
    """From where on a stream tells."""

    after = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=999_999_999,
        help_text="Begin behind that sequence number of the current execution; by default with what comes now.",
    )


class AuditQuery(PageQuery):
    """Which part of the audit trail; what is left out narrows nothing."""

    instance_id = Text(required=False, max_length=INSTANCE_ID_LENGTH, help_text="Whether or not it still exists.")
    instance_prefix = Text(required=False, max_length=INSTANCE_ID_LENGTH, help_text="What the id begins with.")
    actor = Text(required=False, max_length=ACTOR_NAME_LENGTH, help_text="The name of a user, or API key and its name.")
    action = serializers.ChoiceField(list(DEEDS), required=False)
    via = serializers.ChoiceField(AuditEntry.Via.values, required=False)
    at_from = serializers.DateTimeField(required=False)
    at_to = serializers.DateTimeField(required=False, help_text="Exclusive.")


class EntityQuery(PageQuery):
    """Which entities."""

    name = Text(required=False, max_length=NAME_LENGTH)
    last_operation_from = serializers.DateTimeField(required=False)
    last_operation_to = serializers.DateTimeField(required=False, help_text="Exclusive.")
    include_deleted = serializers.BooleanField(required=False, default=False)


class RaiseQuery(Asked):
    """Whether an event goes past the form of the question that it answers."""

    unvalidated = serializers.BooleanField(
        required=False, default=False, help_text="Needs the permission raise_unvalidated; marked in the audit trail."
    )


class ReasonQuery(Asked):
    """Why something is deleted; kept in the audit trail."""

    reason = Text(required=False, allow_blank=True, max_length=REASON_LENGTH, default="")


class PurgeQuery(ReasonQuery):
    """How far a purge goes, and why."""

    recursive = serializers.BooleanField(required=False, default=False, help_text="Sub-orchestrations too.")


# Bodies of requests -----------------------------------------------------------------------------------------------


class StartBody(Asked):
    """An orchestration to start."""

    orchestrator = serializers.ChoiceField([])
    input = Payload(required=False, default=None)
    instance_id = Text(required=False, max_length=INSTANCE_ID_LENGTH, help_text="Made at random unless given.")
    start_at = serializers.DateTimeField(required=False, help_text="At once unless given.")
    tags = serializers.DictField(child=Text(allow_blank=True), required=False)
    version = Text(required=False, max_length=VERSION_LENGTH, allow_blank=True)
    on_duplicate = serializers.ChoiceField(
        [choice.value for choice in OnDuplicate],
        required=False,
        default=OnDuplicate.REPLACE_TERMINAL.value,
        help_text="What happens where the id is taken.",
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Offer the orchestrators that this site can run."""
        fields = super().get_fields()
        fields["orchestrator"].choices = sorted(registry.orchestrators())  # type: ignore[attr-defined]
        return fields


class ReasonBody(Asked):
    """Why something is done; kept in the history and the audit trail."""

    reason = Text(required=False, allow_blank=True, max_length=REASON_LENGTH, default="")


class TerminateBody(ReasonBody):
    """How far a termination goes, and why."""

    recursive = Flag(required=False, default=True, help_text="Sub-orchestrations too.")


class RestartBody(Asked):
    """Under which id an orchestration is started again."""

    with_new_instance_id = Flag(required=False, default=True)


class ForkBody(ReasonBody):
    """From where an instance is run again, and as what."""

    step = serializers.IntegerField(
        min_value=1, max_value=999_999_999, help_text="The number of an event in its present history."
    )
    new_instance_id = Text(required=False, max_length=INSTANCE_ID_LENGTH, help_text="Made at random unless given.")
    version = Text(required=False, max_length=VERSION_LENGTH, allow_blank=True, help_text="The same unless given.")


class SignalBody(Asked):
    """An operation of an entity, to be carried out later."""

    operation = Text(max_length=NAME_LENGTH)
    input = Payload(required=False, default=None)
    signal_time = serializers.DateTimeField(required=False, help_text="Not before that.")


# Answers ----------------------------------------------------------------------------------------------------------


class Started(serializers.Serializer[Any]):
    """Where the started instance is."""

    instance_id = serializers.CharField()
    url = serializers.URLField()


class Purged(serializers.Serializer[Any]):
    """What a purge has deleted."""

    instances_deleted = serializers.IntegerField()


class InstanceSummary(serializers.Serializer[Any]):
    """An instance as lists show it."""

    instance_id = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField()
    status = serializers.ChoiceField(STATUSES)
    tags = serializers.DictField(child=serializers.CharField())
    execution = serializers.IntegerField()
    error = serializers.CharField(help_text="One line; empty unless it failed.")
    waiting_for = serializers.CharField(help_text="One line; empty where it waits for nothing.")
    created_at = serializers.DateTimeField()
    scheduled_start_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    last_updated_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    url = serializers.URLField()


class InstanceDetail(InstanceSummary):
    """An instance as its own address shows it. Payloads are null without the permission to see them."""

    parent_instance_id = serializers.CharField(allow_null=True)
    forked_from = serializers.CharField(
        allow_null=True, help_text="The id of the instance whose history it began with, which may be gone."
    )
    forked_step = serializers.IntegerField(
        allow_null=True, help_text="The event of that history from which it runs again."
    )
    blocked_at = serializers.CharField(help_text="File and line at which the orchestrator waits.")
    waits = Json(help_text="What it waits for, and since when.")
    actions = serializers.ListField(child=serializers.CharField(), help_text="What you may do to it now.")
    input = Json()
    output = Json()
    custom_status = Json()
    failure = Json(help_text="With the chain of its causes.")
    payloads = serializers.ChoiceField(PAYLOAD_STATES, help_text=PAYLOADS_ARE)
    unavailable_payloads = serializers.ListField(
        child=serializers.CharField(), help_text="Which payloads are null because their file can't be read."
    )


class InstancePage(serializers.Serializer[Any]):
    """One page of instances, newest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = InstanceSummary(many=True)


class StatusCount(serializers.Serializer[Any]):
    """How many instances have one status, counted to a cap."""

    status = serializers.ChoiceField(STATUSES)
    count = serializers.IntegerField()
    is_capped = serializers.BooleanField(help_text="Whether there are more than were counted.")


class HistoryItem(serializers.Serializer[Any]):
    """One history event. Its payload is null without the permission to see it."""

    sequence = serializers.IntegerField()
    type = serializers.ChoiceField(EVENT_TYPES)
    timestamp = serializers.DateTimeField()
    task_id = serializers.IntegerField(allow_null=True)
    attempt = serializers.IntegerField()
    name = serializers.CharField(allow_null=True)
    attributes = Json()
    payload_preview = serializers.CharField(allow_null=True, help_text="The first characters of its JSON text.")
    payload_length = serializers.IntegerField(allow_null=True, help_text="Characters of the whole.")


class HistoryPageAnswer(serializers.Serializer[Any]):
    """Consecutive events of one execution."""

    execution = serializers.IntegerField()
    next_after = serializers.IntegerField(allow_null=True, help_text="The next page's ``after``; null at the end.")
    payloads = serializers.ChoiceField(PAYLOAD_STATES, help_text=PAYLOADS_ARE)
    results = HistoryItem(many=True)


class Wait(serializers.Serializer[Any]):
    """An external event that an instance waits for."""

    id = serializers.IntegerField()
    instance_id = serializers.CharField()
    event = serializers.CharField()
    since = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    title = serializers.CharField(help_text="Empty where no person is asked.")
    summary = serializers.DictField(child=serializers.CharField())
    location = serializers.CharField()


class FunctionAnswer(serializers.Serializer[Any]):
    """A registered function. Its input's schema is null where it takes none, or the type has no schema."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(["orchestrator", "activity", "entity"])
    version = serializers.CharField()
    description = serializers.CharField()
    input_schema = Json()


class WorkerAnswer(serializers.Serializer[Any]):
    """A worker process."""

    worker = serializers.CharField()
    started_at = serializers.DateTimeField()
    heartbeat_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    in_flight = serializers.IntegerField()
    capacity = serializers.IntegerField()
    functions = Json()


class AuditItem(serializers.Serializer[Any]):
    """Who did what, when and why."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    instance_id = serializers.CharField()
    action = serializers.CharField()
    actor = serializers.CharField(source="actor_name")
    reason = serializers.CharField()
    details = Json()
    via = serializers.CharField()


class AuditPage(serializers.Serializer[Any]):
    """One page of the audit trail, newest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = AuditItem(many=True)


class EntityAnswer(serializers.Serializer[Any]):
    """An entity. Its state is null without the permission to see it."""

    name = serializers.CharField()
    key = serializers.CharField()
    exists = serializers.BooleanField()
    state = Json()
    payloads = serializers.ChoiceField(PAYLOAD_STATES, help_text=PAYLOADS_ARE)
    last_operation_at = serializers.DateTimeField(allow_null=True)
    locked_by = serializers.CharField(allow_null=True)
    backlog_size = serializers.IntegerField()


class EntityPageAnswer(serializers.Serializer[Any]):
    """One page of entities, the latest operation first."""

    next = serializers.URLField(allow_null=True)
    results = EntityAnswer(many=True)


class ProblemError(serializers.Serializer[Any]):
    """One offending value."""

    path = serializers.CharField(help_text="A JSON path.")
    message = serializers.CharField()


class ProblemAnswer(serializers.Serializer[Any]):
    """Problem details (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="Stable; what programs decide by.")
    errors = ProblemError(many=True, required=False)  # type: ignore[assignment]
