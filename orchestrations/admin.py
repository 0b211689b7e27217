"""The tables in Django's admin: to look at, never to edit. What people may do goes through the client, as everywhere.

django-q2's own models are taken out: whoever can edit one of its schedules can run any function of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet, TextField
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property

from orchestrations import queries
from orchestrations.api_keys_admin import ApiKeyAdmin
from orchestrations.client import OrchestrationClient
from orchestrations.conf import get_config
from orchestrations.errors import DurableError
from orchestrations.limits import COUNT_CAP, REASON_LENGTH
from orchestrations.models import (
    ActivityWorkItem,
    ApiKey,
    AuditEntry,
    Chore,
    Entity,
    HistoryEvent,
    HumanAudience,
    HumanComment,
    HumanFollowUp,
    HumanNotice,
    HumanTask,
    HumanVote,
    InboxMessage,
    Instance,
    LargePayload,
    OpenWait,
    RaisedEventKey,
    Timer,
    WorkerLease,
)
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.permissions import Action, can

if TYPE_CHECKING:  # Django's own classes take no type arguments when the site runs
    AnyPaginator = Paginator[Any]
    AnyModelAdmin = admin.ModelAdmin[Any]
else:
    AnyPaginator = Paginator
    AnyModelAdmin = admin.ModelAdmin

PAYLOADS = frozenset(
    {"input", "output", "custom_status", "failure", "payload", "attributes", "waits", "request", "state"}
    | {"summary", "initial", "on_timeout", "data"}  # of tasks and votes
)
ACTED_ON_AT_ONCE = 500  # instances that one admin action goes through in one request


def hide_queue_models() -> None:
    """Take django-q2's models out of the admin, for everybody."""
    if not apps.is_installed("django_q"):
        return
    import_module("django_q.admin")  # autodiscovery does not import it a second time
    for model in apps.get_app_config("django_q").get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)


hide_queue_models()
admin.site.register(ApiKey, ApiKeyAdmin)


class CappedPaginator(AnyPaginator):
    """Counts to a cap and no further, so that a page of a million rows costs what one of a hundred does."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most COUNT_CAP."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNT_CAP].count())


class ReadOnlyAdmin(AnyModelAdmin):
    """Shows rows to who may view them. Payloads need their own permission, and no list loads them."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)
    actions: Any = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits rows by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes rows by hand."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows without payload columns, their own and those of the instance they belong to."""
        rows = super().get_queryset(request).defer(*_payload_columns(self.model))
        if any(field.name == "instance" for field in self.model._meta.get_fields()):
            inherited = [f"instance__{column}" for column in _payload_columns(Instance)]
            rows = rows.select_related("instance").defer(*_payload_columns(self.model), *inherited)
        return rows

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        """Payload columns, for who may not see them."""
        return None if can(request.user, Action.VIEW_PAYLOADS) else _payload_columns(self.model)

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the instance."""
        instance = obj if isinstance(obj, Instance) else obj.instance
        return reverse("dashboard:instance", args=[instance.hub, instance.instance_id])


class OrchestratorFilter(admin.SimpleListFilter):
    """By orchestrator, with the names that occur; found along the index, not by reading the table."""

    title = "orchestrator"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The names of the site's task hub."""
        return [(name, name) for name in queries.orchestrator_names(get_config().task_hub)]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The instances of that orchestrator."""
        return rows.filter(name=self.value()) if self.value() else rows


class ReasonActionForm(ActionForm):
    """The choice of an action, with the reason for it."""

    reason = forms.CharField(max_length=REASON_LENGTH, required=False)


Act = Callable[[OrchestrationClient, str, str], object]


@admin.register(Instance)
class InstanceAdmin(ReadOnlyAdmin):
    """Instances, and what may be done to several of them at once."""

    list_display = ("instance_id", "name", "status", "error", "waiting_for", "created_at", "completed_at")
    list_filter = ("status", OrchestratorFilter, "hub")
    search_fields = ("instance_id",)
    search_help_text = "The beginning of an instance id, or the whole name of an orchestrator."
    date_hierarchy = "created_at"
    raw_id_fields = ("parent",)
    action_form = ReasonActionForm
    actions = ("terminate", "suspend", "resume", "rewind")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Orchestrations; entities have a list of their own."""
        return super().get_queryset(request).filter(ORCHESTRATION)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By conditions that an index serves."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if not queries.storable(term):
            return queryset.none(), False
        return queryset.filter(Q(instance_id__startswith=term) | Q(name=term)), False

    def has_terminate_permission(self, request: HttpRequest) -> bool:
        """Whether the person may terminate."""
        return can(request.user, Action.TERMINATE)

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        """Whether the person may suspend and resume."""
        return can(request.user, Action.SUSPEND)

    def has_rewind_permission(self, request: HttpRequest) -> bool:
        """Whether the person may rewind."""
        return can(request.user, Action.REWIND)

    @admin.action(description="Terminate (needs a reason)", permissions=["terminate"])
    def terminate(self, request: HttpRequest, rows: QuerySet[Instance]) -> None:
        """End the chosen instances, and what is below them."""
        self._act(request, rows, OrchestrationClient.terminate, needs_reason=True)

    @admin.action(description="Suspend", permissions=["suspend"])
    def suspend(self, request: HttpRequest, rows: QuerySet[Instance]) -> None:
        """Pause the chosen instances."""
        self._act(request, rows, OrchestrationClient.suspend)

    @admin.action(description="Resume", permissions=["suspend"])
    def resume(self, request: HttpRequest, rows: QuerySet[Instance]) -> None:
        """Let the chosen instances go on."""
        self._act(request, rows, OrchestrationClient.resume)

    @admin.action(description="Rewind (needs a reason)", permissions=["rewind"])
    def rewind(self, request: HttpRequest, rows: QuerySet[Instance]) -> None:
        """Let the chosen failed instances try again."""
        self._act(request, rows, OrchestrationClient.rewind, needs_reason=True)

    def _act(self, request: HttpRequest, rows: QuerySet[Instance], act: Act, *, needs_reason: bool = False) -> None:
        """Do it to each chosen instance, and say how many took it and why others did not."""
        reason = request.POST.get("reason", "").strip()
        if needs_reason and not reason:
            self.message_user(request, "Say why: fill in the reason beside the action.", messages.ERROR)
            return
        done, refused = 0, []
        for hub, instance_id in rows.order_by("pk").values_list("hub", "instance_id")[:ACTED_ON_AT_ONCE]:
            client = OrchestrationClient(
                hub, via=AuditEntry.Via.ADMIN, actor=request.user, address=request.META.get("REMOTE_ADDR")
            )
            try:
                act(client, instance_id, reason)
                done += 1
            except DurableError as error:
                refused.append(str(error))
        if done:
            self.message_user(request, f"Sent to {done} instance{'s' if done != 1 else ''}.", messages.SUCCESS)
        for text in refused[:3]:
            self.message_user(request, text, messages.WARNING)
        if len(refused) > 3:
            self.message_user(request, f"{len(refused) - 3} more were refused.", messages.WARNING)


class BelongsToInstanceAdmin(ReadOnlyAdmin):
    """Rows of one instance, found by its id."""

    search_fields = ("=instance__instance_id",)
    search_help_text = "An instance id."
    raw_id_fields: ClassVar[list[str] | tuple[str, ...]] = ("instance",)


@admin.register(HistoryEvent)
class HistoryEventAdmin(BelongsToInstanceAdmin):
    """History events, the newest first."""

    list_display = ("instance", "execution", "sequence", "type", "name", "task_id", "attempt", "timestamp")
    list_filter = ("type",)


@admin.register(OpenWait)
class OpenWaitAdmin(BelongsToInstanceAdmin):
    """External events that are awaited now."""

    list_display = ("instance", "name", "title", "since", "due_at")
    list_filter = ("hub",)


@admin.register(HumanTask)
class HumanTaskAdmin(BelongsToInstanceAdmin):
    """Questions to people, the newest first."""

    list_display = ("title", "instance", "state", "asked_at", "due_at", "answered_by", "outcome")
    list_filter = ("state", "hub")
    raw_id_fields = ("instance", "assignee")


@admin.register(HumanAudience)
class HumanAudienceAdmin(BelongsToInstanceAdmin):
    """Who is asked by tasks that are open."""

    list_display = ("key", "instance", "execution", "wait_id")


@admin.register(HumanVote)
class HumanVoteAdmin(BelongsToInstanceAdmin):
    """Answers of single people."""

    list_display = ("username", "task", "counts_as", "outcome", "at", "via")
    list_filter = ("counts_as",)
    list_select_related = ("task",)
    raw_id_fields = ("instance", "task", "user")


@admin.register(HumanComment)
class HumanCommentAdmin(BelongsToInstanceAdmin):
    """What people said about tasks, and did with them beside answering."""

    list_display = ("username", "task", "kind", "at")
    list_filter = ("kind",)
    list_select_related = ("task",)
    raw_id_fields = ("instance", "task", "user")


@admin.register(HumanFollowUp)
class HumanFollowUpAdmin(BelongsToInstanceAdmin):
    """Tasks that people have put off."""

    list_display = ("task", "user", "until")
    list_select_related = ("task", "user")
    raw_id_fields = ("instance", "task", "user")


@admin.register(HumanNotice)
class HumanNoticeAdmin(BelongsToInstanceAdmin):
    """Messages to people about tasks."""

    list_display = ("task", "kind", "channel", "recipient", "created_at", "sent_at", "attempts", "error")
    list_filter = ("channel", "kind")
    list_select_related = ("task", "recipient")
    raw_id_fields = ("instance", "task", "recipient")


@admin.register(InboxMessage)
class InboxMessageAdmin(BelongsToInstanceAdmin):
    """Events on their way to instances."""

    list_display = ("instance", "type", "name", "created_at", "visible_at")
    list_filter = ("type", "hub")


@admin.register(RaisedEventKey)
class RaisedEventKeyAdmin(BelongsToInstanceAdmin):
    """Idempotency keys of external events, kept for a while after the event."""

    list_display = ("instance", "key", "raised_at")
    list_filter = ("raised_at",)


@admin.register(Entity)
class EntityAdmin(ReadOnlyAdmin):
    """Entities, the newest first."""

    list_display = ("__str__", "name", "key", "last_operation_at", "locked_by", "backlog")
    list_filter = ("hub",)

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """None: the dashboard has no page of an entity."""
        return None


@admin.register(Timer)
class TimerAdmin(BelongsToInstanceAdmin):
    """Durable timers."""

    list_display = ("instance", "task_id", "attempt", "state", "due_at")
    list_filter = ("state", "hub")


@admin.register(ActivityWorkItem)
class ActivityWorkItemAdmin(BelongsToInstanceAdmin):
    """Activities that have not ended."""

    list_display = (
        "instance",
        "name",
        "attempt",
        "dispatches",
        "scheduled_at",
        "started_at",
        "heartbeat_at",
        "lease_token",
    )
    list_filter = ("hub",)


@admin.register(Chore)
class ChoreAdmin(ReadOnlyAdmin):
    """What one worker at a time does now and then, and when it is due again."""

    list_display = ("name", "hub", "due_at")
    list_filter = ("hub",)

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """None: the dashboard has no page of a chore."""
        return None


@admin.register(LargePayload)
class LargePayloadAdmin(BelongsToInstanceAdmin):
    """Files of large payloads."""

    list_display = ("instance", "name")
    list_filter = ("hub",)


@admin.register(WorkerLease)
class WorkerLeaseAdmin(ReadOnlyAdmin):
    """Worker processes and their sign of life."""

    list_display = ("worker", "hub", "in_flight", "capacity", "started_at", "heartbeat_at", "expires_at")
    list_filter = ("hub",)

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """None: the dashboard has no page of a worker."""
        return None


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, when and why."""

    list_display = ("at", "actor_name", "action", "instance_id", "reason", "via", "address")
    list_filter = ("action", "via", "hub")
    search_fields = ("=instance_id", "=actor_name")
    search_help_text = "An instance id, or a user name."
    date_hierarchy = "at"

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the instance, which may be gone."""
        return reverse("dashboard:instance", args=[obj.hub, obj.instance_id])


def _payload_columns(model: type[Model]) -> list[str]:
    return [field.name for field in model._meta.get_fields() if isinstance(field, TextField) and field.name in PAYLOADS]
