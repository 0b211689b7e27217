"""What the engine keeps: history, what is in flight, bulk jobs, workers and their chores."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join

from orchestrations.admin.looking import (
    ActionFilter,
    BelongsToInstanceAdmin,
    HubFilter,
    OffTheDashboard,
    ReadOnlyAdmin,
    by_period,
    hub_of,
    newest,
)
from orchestrations.core.entity_ids import EntityId
from orchestrations.interfaces.dashboard.links import entity_url
from orchestrations.models import (
    ActivityWorkItem,
    BulkJob,
    BulkProblem,
    Chore,
    ChoreRun,
    CountMark,
    Entity,
    HistoryEvent,
    InboxMessage,
    InstanceCount,
    LargePayload,
    LostWorker,
    MovedEnd,
    OpenWait,
    RaisedEventKey,
    Timer,
    WorkerLease,
)


@admin.register(HistoryEvent)
class HistoryEventAdmin(BelongsToInstanceAdmin):
    """History events, the newest first."""

    list_display = ("instance", "execution", "sequence", "type", "name", "task_id", "attempt", "timestamp")
    list_filter = ("type", by_period("timestamp", "when"))

    def view_on_site(self, obj: Any) -> str:
        """The event's own page."""
        owner = obj.instance
        return reverse("dashboard:event", args=[owner.hub, owner.instance_id, obj.execution, obj.sequence])


@admin.register(OpenWait)
class OpenWaitAdmin(BelongsToInstanceAdmin):
    """External events that are awaited now."""

    list_display = ("instance", "name", "title", "since", "due_at")
    list_filter = (HubFilter,)


@admin.register(InboxMessage)
class InboxMessageAdmin(BelongsToInstanceAdmin):
    """Events on their way to instances."""

    list_display = ("instance", "type", "name", "created_at", "visible_at")
    list_filter = ("type", HubFilter)


@admin.register(RaisedEventKey)
class RaisedEventKeyAdmin(BelongsToInstanceAdmin):
    """Idempotency keys of external events, kept for a while after the event."""

    list_display = ("instance", "key", "raised_at")


@admin.register(Entity)
class EntityAdmin(ReadOnlyAdmin):
    """Entities, the newest first."""

    list_display = ("__str__", "name", "key", "last_operation_at", "locked_by", "backlog")
    list_filter = (HubFilter,)
    search_fields = ("name",)
    search_help_text = "The whole name of an entity, or its id: @name@key."
    ordering = ("-last_operation_at", "-pk")
    readonly_fields = ("acts",)

    @admin.display(description="acts")
    def acts(self, row: Entity) -> str:
        """What can be done to it, on the dashboard."""
        links = [
            (entity_url(row.hub, EntityId(row.name, row.key), "dashboard:entity_signal"), "Signal"),
            (reverse("dashboard:entities_clean", args=[row.hub]), "Clean up entities"),
        ]
        return format_html_join(" · ", '<a href="{}">{}</a>', links)

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the entity."""
        return entity_url(obj.hub, EntityId(obj.name, obj.key))

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """By the index on names, or by that on ids."""
        if term.startswith("@"):
            return rows.filter(instance__hub=hub_of(request), instance__instance_id=term)
        return rows.filter(name=term)


@admin.register(Timer)
class TimerAdmin(BelongsToInstanceAdmin):
    """Durable timers."""

    list_display = ("instance", "task_id", "attempt", "state", "due_at")
    list_filter = ("state", HubFilter)


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
    list_filter = (HubFilter,)


class NamedAdmin(ReadOnlyAdmin):
    """Rows of few, found by the whole of one column, among the newest; ``page`` is the dashboard's page of them all."""

    named = "name"
    page = ""

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Those of that name."""
        return newest(rows).filter(**{self.named: term})

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page."""
        return reverse(self.page, args=[obj.hub])


@admin.register(BulkJob)
class BulkJobAdmin(NamedAdmin):
    """Acts on many instances, and how far each has come."""

    list_display = ("id", "action", "state", "done", "skipped", "failed", "total", "creator_name", "created_at")
    list_filter = ("state", ActionFilter, by_period("created_at", "created"), HubFilter)
    named = "creator_name"
    search_fields = ("creator_name",)
    search_help_text = "The number of a job, or the whole user name of who made it."
    raw_id_fields = ("created_by",)

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """The job of that number, or those that a person of that name made."""
        is_number = term.isdecimal() and len(term) < 19
        return rows.filter(pk=int(term)) if is_number else super().found(request, rows, term)

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the job, which follows it."""
        return reverse("dashboard:bulk_job", args=[obj.hub, obj.pk])


@admin.register(BulkProblem)
class BulkProblemAdmin(ReadOnlyAdmin):
    """Instances that bulk jobs did not act on, and why."""

    list_display = ("instance_id", "outcome", "job", "why")
    list_select_related = ("job",)
    search_fields = ("job__id",)
    search_help_text = "The number of a job."

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Those of the job of that number."""
        return rows.filter(job=int(term)) if term.isdecimal() and len(term) < 19 else rows.none()

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the job."""
        return reverse("dashboard:bulk_job", args=[obj.job.hub, obj.job_id])


@admin.register(Chore)
class ChoreAdmin(NamedAdmin):
    """What one worker at a time does now and then, and when it is due again."""

    list_display = ("name", "hub", "due_at")
    list_filter = (HubFilter,)
    search_fields = ("name",)
    search_help_text = "The whole name of a chore."
    page = "dashboard:retention"


@admin.register(ChoreRun)
class ChoreRunAdmin(NamedAdmin):
    """What chores have done, by the hour."""

    list_display = ("name", "hub", "hour", "runs", "done", "seconds", "last_at", "trouble")
    list_filter = (by_period("hour", "hour"), HubFilter)
    search_fields = ("name",)
    search_help_text = "The whole name of a chore."
    page = "dashboard:retention"


@admin.register(InstanceCount)
class InstanceCountAdmin(OffTheDashboard):
    """How many instances have ended, by the time of their creation."""

    list_display = ("begins_at", "width", "hub", "name", "status", "count")
    list_filter = (HubFilter,)


@admin.register(CountMark)
class CountMarkAdmin(OffTheDashboard):
    """Up to when what has ended is counted."""

    list_display = ("status", "hub", "counted_to")
    list_filter = (HubFilter,)


@admin.register(MovedEnd)
class MovedEndAdmin(OffTheDashboard):
    """Ends that are still to be counted and have no instance any more that tells of them."""

    list_display = ("at", "hub", "name", "status", "created_at", "amount")
    list_filter = (HubFilter,)


@admin.register(LargePayload)
class LargePayloadAdmin(BelongsToInstanceAdmin):
    """Files of large payloads."""

    list_display = ("instance", "name")
    list_filter = (HubFilter,)


@admin.register(LostWorker)
class LostWorkerAdmin(NamedAdmin):
    """Worker processes that stopped without a word."""

    list_display = ("worker", "hub", "started_at", "heartbeat_at", "lost_at", "in_flight")
    list_filter = (by_period("lost_at", "lost"), HubFilter)
    named = "worker"
    search_fields = ("worker",)
    search_help_text = "A whole host:pid."
    page = "dashboard:workers"


@admin.register(WorkerLease)
class WorkerLeaseAdmin(NamedAdmin):
    """Worker processes and their sign of life."""

    list_display = ("worker", "hub", "build", "in_flight", "capacity", "started_at", "heartbeat_at", "expires_at")
    list_filter = (HubFilter,)
    named = "worker"
    search_fields = ("worker",)
    search_help_text = "A whole host:pid."
    page = "dashboard:workers"
