"""Instances, and what may be done to several of them at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from orchestrations import queries
from orchestrations.admin.acting import confirm_and_act
from orchestrations.admin.looking import HubFilter, ReadOnlyAdmin, hub_of
from orchestrations.client import OrchestrationClient
from orchestrations.interfaces.dashboard.presentation import verbs
from orchestrations.models import Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.permissions import Action, can


class OrchestratorFilter(admin.SimpleListFilter):
    """By orchestrator, with the names that occur; found along the index, not by reading the table."""

    title = "orchestrator"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The names of the task hub."""
        return [(name, name) for name in queries.orchestrator_names(hub_of(request))]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The instances of that orchestrator."""
        return rows.filter(name=self.value()) if self.value() else rows


class CreatedFilter(admin.SimpleListFilter):
    """By when they were created, back from now: what a date hierarchy is for, without its reading of every row."""

    title = "created"
    parameter_name = "created"
    PERIODS = {
        "hour": ("Past hour", timedelta(hours=1)),
        "day": ("Past day", timedelta(days=1)),
        "week": ("Past 7 days", timedelta(days=7)),
        "month": ("Past 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The periods."""
        return [(key, label) for key, (label, _) in self.PERIODS.items()]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The instances that were created in that period."""
        chosen = self.PERIODS.get(self.value() or "")
        return rows.filter(created_at__gte=timezone.now() - chosen[1]) if chosen else rows


@admin.register(Instance)
class InstanceAdmin(ReadOnlyAdmin):
    """Orchestrations; entities have a list of their own."""

    list_display = ("instance_id", "name", "status", "error", "waiting_for", "created_at", "completed_at")
    list_filter = ("status", OrchestratorFilter, CreatedFilter, HubFilter)
    search_fields = ("instance_id",)
    search_help_text = "The beginning of an instance id, or the whole name of an orchestrator."
    ordering = ("-created_at", "-pk")
    indexed = frozenset({"hub", "status__exact", "name", "created"})
    raw_id_fields = ("parent",)
    actions = ("terminate", "suspend", "resume", "rewind", "purge")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without entities."""
        return super().get_queryset(request).filter(ORCHESTRATION)

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """By conditions that an index serves."""
        return rows.filter(Q(instance_id__startswith=term) | Q(name=term))

    def has_terminate_permission(self, request: HttpRequest) -> bool:
        """Whether the person may terminate."""
        return can(request.user, Action.TERMINATE)

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        """Whether the person may suspend and resume."""
        return can(request.user, Action.SUSPEND)

    def has_rewind_permission(self, request: HttpRequest) -> bool:
        """Whether the person may rewind."""
        return can(request.user, Action.REWIND)

    def has_purge_permission(self, request: HttpRequest) -> bool:
        """Whether the person may purge."""
        return can(request.user, Action.PURGE)

    @admin.action(description="Terminate", permissions=["terminate"])
    def terminate(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """End the chosen instances, and what is below them."""
        return confirm_and_act(self, request, rows, verbs.TERMINATE, OrchestrationClient.terminate)

    @admin.action(description="Suspend", permissions=["suspend"])
    def suspend(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """Pause the chosen instances."""
        return confirm_and_act(self, request, rows, verbs.SUSPEND, OrchestrationClient.suspend)

    @admin.action(description="Resume", permissions=["suspend"])
    def resume(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """Let the chosen instances go on."""
        return confirm_and_act(self, request, rows, verbs.RESUME, OrchestrationClient.resume)

    @admin.action(description="Rewind", permissions=["rewind"])
    def rewind(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """Let the chosen failed instances try again."""
        return confirm_and_act(self, request, rows, verbs.REWIND, OrchestrationClient.rewind)

    @admin.action(description="Purge", permissions=["purge"])
    def purge(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """Delete the chosen ended instances with their history."""
        return confirm_and_act(self, request, rows, verbs.PURGE, _purge)


def _purge(client: OrchestrationClient, instance_id: str, reason: str) -> None:
    client.purge_instance_history(instance_id, reason=reason)
