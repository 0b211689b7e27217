"""Instances, and what may be done to several of them at once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.http import urlencode

from orchestrations.access.permissions import Action, can
from orchestrations.admin.acting import Act, confirm_and_act
from orchestrations.admin.looking import OF_INSTANCE, HubFilter, ReadOnlyAdmin, by_period, hub_of
from orchestrations.client import OrchestrationClient
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.presentation import verbs
from orchestrations.interfaces.dashboard.presentation.verbs import Verb
from orchestrations.models import (
    ActivityWorkItem,
    AuditEntry,
    HistoryEvent,
    HumanTask,
    InboxMessage,
    Instance,
    OpenWait,
    Timer,
    WebhookDelivery,
)
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.reading import queries
from orchestrations.reading.queries import InstanceFilter

FOUND = 1_000  # instances that a search shows
OWNED: tuple[type[Model], ...] = (HistoryEvent, OpenWait, HumanTask, InboxMessage, ActivityWorkItem, Timer)


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


CreatedFilter = by_period("created_at", "created")


@admin.register(Instance)
class InstanceAdmin(ReadOnlyAdmin):
    """Orchestrations; entities have a list of their own."""

    list_display = ("instance_id", "name", "status", "error", "waiting_for", "created_at", "completed_at")
    list_filter = ("status", OrchestratorFilter, CreatedFilter, HubFilter)
    search_fields = ("instance_id",)
    search_help_text = f"The beginning of an instance id, in its own letter case; the first {FOUND:,} are shown."
    ordering = ("-created_at", "-pk")
    indexed = frozenset({"hub", "status__exact", "name", "created"})
    raw_id_fields = ("parent",)
    readonly_fields = ("related", "more_acts")
    actions = ("terminate", "suspend", "resume", "rewind", "purge")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without entities."""
        return super().get_queryset(request).filter(ORCHESTRATION)

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """By the beginning of the id: looked up first, so that no plan goes through the list to find them."""
        ids = queries.filter_instances(hub_of(request), InstanceFilter(id_prefix=term), using=rows.db)
        return rows.filter(pk__in=list(ids.order_by("instance_id").values_list("pk", flat=True)[:FOUND]))

    def shown(self, request: HttpRequest) -> InstanceFilter:
        """What the list shows, as a filter that a bulk job can keep."""
        status = request.GET.get("status__exact")
        return InstanceFilter(
            statuses=(RuntimeStatus(status),) if status in set(RuntimeStatus) else (),
            name=request.GET.get("name", ""),
            id_prefix=request.GET.get("q", "").strip(),
            created_from=CreatedFilter.begin(request.GET.get("created")),
        )

    @admin.display(description="related")
    def related(self, row: Instance) -> str:
        """What belongs to the instance, in the lists of this admin."""
        owned = [(model, {OF_INSTANCE: row.pk}) for model in OWNED]
        named = [(model, {"q": row.instance_id, "hub": row.hub}) for model in (WebhookDelivery, AuditEntry)]
        links = ((_list_of(model), urlencode(query), model._meta.verbose_name_plural) for model, query in owned + named)
        return format_html_join(" · ", '<a href="{}?{}">{}</a>', links)

    @admin.display(description="more acts")
    def more_acts(self, row: Instance) -> str:
        """What its status allows beside the acts of the list, each on its page in the dashboard."""
        beside = [offer.verb for offer in verbs.offered(row.status, ()) if offer.verb.action.value not in self.actions]
        where = [row.hub, row.instance_id]
        links = [(reverse("dashboard:act", args=[*where, verb.slug]), verb.label) for verb in beside]
        if not row.runtime_status.is_terminal:
            links.append((self.instance_url(*where), "Retry now, skip a timer, complete by hand"))
        return format_html_join(" · ", '<a href="{}">{}</a>', links)

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
        """End the chosen instances, and what is below them unless that is to be spared."""
        return self._confirm(request, rows, verbs.TERMINATE, OrchestrationClient.terminate)

    @admin.action(description="Suspend", permissions=["suspend"])
    def suspend(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """Pause the chosen instances."""
        return self._confirm(request, rows, verbs.SUSPEND, OrchestrationClient.suspend)

    @admin.action(description="Resume", permissions=["suspend"])
    def resume(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """Let the chosen instances go on."""
        return self._confirm(request, rows, verbs.RESUME, OrchestrationClient.resume)

    @admin.action(description="Rewind", permissions=["rewind"])
    def rewind(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """Let the chosen failed instances try again."""
        return self._confirm(request, rows, verbs.REWIND, OrchestrationClient.rewind)

    @admin.action(description="Purge", permissions=["purge"])
    def purge(self, request: HttpRequest, rows: QuerySet[Instance]) -> HttpResponse | None:
        """Delete the chosen ended instances with their history."""
        return self._confirm(request, rows, verbs.PURGE, _purge)

    def _confirm(self, request: HttpRequest, rows: QuerySet[Instance], verb: Verb, act: Act) -> HttpResponse | None:
        return confirm_and_act(self, request, rows, verb, act, self.shown(request))


def _list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def _purge(client: OrchestrationClient, instance_id: str, reason: str, *, recursive: bool) -> None:
    client.purge_instance_history(instance_id, reason=reason, recursive=recursive)
