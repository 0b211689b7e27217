"""The audit trail: only ever read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from orchestrations.admin.looking import ActionFilter, HubFilter, ReadOnlyAdmin, by_period
from orchestrations.interfaces.dashboard.links import target_url
from orchestrations.interfaces.dashboard.presentation.deeds import told
from orchestrations.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, when and why; the newest first."""

    list_display = ("at", "actor_name", "action", "instance_id", "what", "reason", "via", "address")
    list_filter = (ActionFilter, "via", by_period("at", "when"), HubFilter)
    indexed = frozenset({"hub", "action", "via__exact", "when"})
    ordering = ("-at", "-pk")
    search_fields = ("instance_id",)
    search_help_text = "A whole instance id, or a whole user name."

    @admin.display(description="what")
    def what(self, row: AuditEntry) -> str:
        """What more there is to know of it."""
        return "; ".join(told(row.details))

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """What was done to that instance, or by a person of that name; an index serves either."""
        return rows.filter(Q(instance_id=term) | Q(actor_name=term))

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the instance, which may be gone, or of what else it concerns."""
        return target_url(obj.hub, obj.instance_id) or reverse("dashboard:audit", args=[obj.hub])
