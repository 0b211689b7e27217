"""What requests about many instances may hold, and what a bulk job looks like. One body for each kind of act."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from orchestrations.access.permissions import Action
from orchestrations.interfaces.api.serializers import (
    ERROR_LINE,
    STATUSES,
    Asked,
    Flag,
    Json,
    PageQuery,
    Payload,
    Text,
)
from orchestrations.limits import (
    BULK_IDS,
    INSTANCE_ID_LENGTH,
    NAME_LENGTH,
    REASON_LENGTH,
    TAG_CHARACTERS,
    TAGS,
    VERSION_LENGTH,
)
from orchestrations.models import BulkJob, BulkProblem

TAG_CHANGES = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": TAGS,
    "propertyNames": {"maxLength": TAG_CHARACTERS, "pattern": "^[^\\x00-\\x1f\\x7f]*$"},
    "additionalProperties": {"type": ["string", "null"], "maxLength": TAG_CHARACTERS, "pattern": "^[^\\x00]*$"},
}


@extend_schema_field(TAG_CHANGES)
class TagChanges(serializers.DictField):
    """Tags to set, each with its value; null removes one."""

    def __init__(self, **options: Any) -> None:
        options["child"] = Text(allow_blank=True, allow_null=True)
        super().__init__(allow_empty=False, **options)

    def to_internal_value(self, data: Any) -> Any:
        """Refuse more changes than an instance can have tags."""
        if isinstance(data, Mapping) and len(data) > TAGS:
            raise serializers.ValidationError(f"There are {len(data)} tags; {TAGS} can be changed at once.")
        return super().to_internal_value(data)


class FilterBody(Asked):
    """Which instances; what is left out narrows nothing, and ``{}`` is all of them."""

    status = serializers.ListField(child=serializers.ChoiceField(STATUSES), required=False)
    name = Text(required=False, max_length=NAME_LENGTH, help_text="The orchestrator.")
    id_prefix = Text(required=False, max_length=INSTANCE_ID_LENGTH)
    parent = Text(  # type: ignore[assignment]
        required=False, max_length=INSTANCE_ID_LENGTH, help_text="The id of the parent instance."
    )
    version = Text(required=False, max_length=VERSION_LENGTH, allow_blank=True, help_text="Empty: those without one.")
    tags = serializers.DictField(child=Text(allow_blank=True), required=False, help_text="All must be there.")
    error = Text(required=False, max_length=ERROR_LINE, help_text="Part of the line that tells of a failure.")
    created_from = serializers.DateTimeField(required=False)
    created_to = serializers.DateTimeField(required=False, help_text="Exclusive.")
    completed_from = serializers.DateTimeField(required=False)
    completed_to = serializers.DateTimeField(required=False, help_text="Exclusive.")
    roots_only = Flag(required=False, default=False, help_text="Without sub-orchestrations.")


class InstanceIds(serializers.ListField):
    """Ids of instances, one by one."""

    def __init__(self, **options: Any) -> None:
        options["child"] = Text(max_length=INSTANCE_ID_LENGTH)
        super().__init__(min_length=1, max_length=BULK_IDS, **options)


class Chosen(serializers.Field[Any, Any, Any, Any]):
    """A filter as an object, or ids as a list."""

    def to_internal_value(self, data: Any) -> Any:
        """A dict of the filter's values, or a list of ids."""
        if isinstance(data, list):
            return InstanceIds().run_validation(data)
        filtered = FilterBody(data=data)
        filtered.is_valid(raise_exception=True)
        return dict(filtered.validated_data)


class ChosenSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """``Chosen`` in the schema."""

    target_class = Chosen

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Either of the two."""
        return {
            "oneOf": [
                auto_schema.resolve_serializer(FilterBody, direction).ref,
                auto_schema._map_serializer_field(InstanceIds(), direction),
            ]
        }


@extend_schema_field({"type": "string", "pattern": "^[^\\x00]*[^\\s\\x00][^\\x00]*$"})
class Explanation(Text):
    """A reason that says something."""

    default_error_messages: ClassVar = {"blank": "Say why."}

    def to_internal_value(self, data: Any) -> str:
        """Refuse white space."""
        text = super().to_internal_value(data)
        if not text.strip():
            self.fail("blank")
        return text


class BatchOf(Asked):
    """An act on many instances."""

    instances = Chosen(help_text="A filter, or a list of ids.")
    dry_run = Flag(required=False, default=False, help_text="Only say how many it would reach, and which first.")


class ExplainedBatch(BatchOf):
    """One that must be explained."""

    reason = Explanation(max_length=REASON_LENGTH, help_text="Why; kept in every history and audit row.")


class ReasonedBatch(BatchOf):
    """One that may be explained."""

    reason = Text(max_length=REASON_LENGTH, required=False, allow_blank=True, default="")


class EndManyBody(ExplainedBatch):
    """Terminates or purges instances."""

    action = serializers.ChoiceField([Action.TERMINATE.value, Action.PURGE.value])
    recursive = Flag(required=False, help_text="Sub-orchestrations too. By default with a termination only.")


class RewindManyBody(ExplainedBatch):
    """Rewinds failed instances."""

    action = serializers.ChoiceField([Action.REWIND.value])


class HoldManyBody(ReasonedBatch):
    """Suspends or resumes instances."""

    action = serializers.ChoiceField([Action.SUSPEND.value, Action.RESUME.value])
    recursive = Flag(required=False, help_text="Sub-orchestrations too.")


class RestartManyBody(ReasonedBatch):
    """Starts instances again, each under a new id."""

    action = serializers.ChoiceField([Action.RESTART.value])


class RaiseManyBody(ReasonedBatch):
    """Raises an event for instances."""

    action = serializers.ChoiceField([Action.RAISE_EVENT.value])
    event_name = Text(max_length=NAME_LENGTH)
    event_data = Payload(required=False, default=None)


class TagManyBody(ReasonedBatch):
    """Sets and removes tags of instances."""

    action = serializers.ChoiceField([Action.SET_TAGS.value])
    tags = TagChanges()


BODIES = (EndManyBody, RewindManyBody, HoldManyBody, RestartManyBody, RaiseManyBody, TagManyBody)
BODY_OF_ACTION: dict[str, type[Asked]] = {
    action: body
    for body in BODIES
    for action in body().fields["action"].choices  # type: ignore[attr-defined]
}
BATCH = PolymorphicProxySerializer(component_name="Batch", serializers=list(BODIES), resource_type_field_name=None)


class TagsBody(Asked):
    """Tags to change, and why."""

    tags = TagChanges()
    reason = Text(max_length=REASON_LENGTH, required=False, allow_blank=True, default="")


class TagsAnswer(serializers.Serializer[Any]):
    """All tags that an instance has now."""

    tags = serializers.DictField(child=serializers.CharField())


class PreviewAnswer(serializers.Serializer[Any]):
    """What an act would reach."""

    count = serializers.IntegerField(help_text="Instances whose status allows the act, counted to a cap.")
    is_capped = serializers.BooleanField(help_text="Whether there are more than were counted.")
    left_out = serializers.IntegerField(
        allow_null=True, help_text="Chosen instances in another status; null where not all were counted."
    )
    first_instance_ids = serializers.ListField(child=serializers.CharField())


class ProblemQuery(PageQuery):
    """Which of a job's problems."""

    outcome = serializers.ChoiceField(BulkProblem.Outcome.values, required=False, help_text="Those alone.")


class Problem(serializers.Serializer[Any]):
    """An instance that was skipped or failed."""

    instance_id = serializers.CharField()
    outcome = serializers.ChoiceField(BulkProblem.Outcome.values)
    why = serializers.CharField()


class BatchSummary(serializers.Serializer[Any]):
    """A bulk job, and how far it has come."""

    id = serializers.IntegerField()
    url = serializers.URLField()
    action = serializers.CharField()
    reason = serializers.CharField()
    state = serializers.ChoiceField(BulkJob.State.values)
    total = serializers.IntegerField(allow_null=True, help_text="Instances chosen; null until the job has begun.")
    total_is_capped = serializers.BooleanField(help_text="Whether there are more than were counted.")
    done = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="Their status or a right did not allow it.")
    failed = serializers.IntegerField()
    gone = serializers.IntegerField(help_text="Instances that no longer matched when their turn came.")
    error = serializers.CharField(help_text="Why the job as a whole failed; empty otherwise.")
    created_by = serializers.CharField()
    stopped_by = serializers.CharField(help_text="Empty unless somebody stopped it.")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class BatchDetail(BatchSummary):
    """A bulk job with the first 100 of its problems."""

    parameters = Json()
    problems = Problem(many=True)


class ProblemPage(serializers.Serializer[Any]):
    """One page of a job's problems, in the order of their turns."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = Problem(many=True)


class BatchPage(serializers.Serializer[Any]):
    """One page of bulk jobs, newest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = BatchSummary(many=True)
