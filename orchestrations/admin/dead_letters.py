"""Dead letters: what killed its workers, and the button that puts it back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from orchestrations.access.permissions import Action, can
from orchestrations.admin.acting import CONFIRMED, Chosen, ask, client_of, tell
from orchestrations.admin.looking import HubFilter, ReadOnlyAdmin, by_period, newest
from orchestrations.client.dead_letters import action_of, put_back
from orchestrations.errors import DurableError
from orchestrations.interfaces.dashboard.act_forms import RequiredReasonForm
from orchestrations.limits import LIST_PAGE_MAXIMUM
from orchestrations.models import DeadLetter

EFFECT = (
    "Instances that failed are rewound, so that the work is tried again; operations of entities are sent again. If the "
    "code still kills its workers, it will come back here."
)


class WaitingFilter(admin.SimpleListFilter):
    """Those that wait, or those that were put back."""

    title = "state"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Either."""
        return [("1", "Waiting"), ("0", "Put back")]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """By whether somebody has put it back."""
        return rows.filter(put_back_at__isnull=self.value() == "1") if self.value() in ("0", "1") else rows


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Dead letters, the newest first."""

    list_display = ("kind", "name", "instance_id", "deaths", "died_at", "put_back_at", "put_back_by")
    list_filter = (WaitingFilter, "kind", by_period("died_at", "died"), HubFilter)
    search_fields = ("instance_id",)
    search_help_text = "A whole instance id."
    actions = ("put_back",)

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Those of the instance."""
        return newest(rows).filter(instance_id=term)

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """The instance's page; None for an entity, and for the list."""
        if obj is None or obj.kind == DeadLetter.Kind.OPERATION:
            return None
        return super().get_view_on_site_url(obj)

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the instance, which may be gone."""
        return self.instance_url(obj.hub, obj.instance_id)

    def has_put_back_permission(self, request: HttpRequest) -> bool:
        """Whether the person may put anything back."""
        return can(request.user, Action.REWIND) or can(request.user, Action.SIGNAL_ENTITY)

    @admin.action(description="Put back", permissions=["put_back"])
    def put_back(self, request: HttpRequest, rows: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Ask why, and put the chosen ones back."""
        form = RequiredReasonForm(request.POST if CONFIRMED in request.POST else None)
        chosen = list(rows.order_by("pk")[:LIST_PAGE_MAXIMUM])
        if not form.is_valid():
            count = f"{len(chosen)} dead letter{'s' if len(chosen) != 1 else ''}"
            return ask(
                self, request, Chosen(count, [str(dead) for dead in chosen]), form, label="Put back", effect=EFFECT
            )
        done, refused = 0, []
        for dead in chosen:
            needed = action_of(dead)
            if not can(request.user, needed):
                refused.append(f"{dead}: that needs the permission {needed.permission}.")
                continue
            try:
                put_back(client_of(request, dead.hub), dead, form.cleaned_data["reason"])
                done += 1
            except DurableError as error:
                refused.append(str(error))
        if done:
            self.message_user(request, f"Put back: {done}.", messages.SUCCESS)
        tell(self, request, refused)
        return None
