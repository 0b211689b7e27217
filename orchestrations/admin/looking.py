"""What every list has in common: nothing to edit, no payload loaded, and no statement that reads a whole table.

Counts stop at COUNT_CAP. A list shows one task hub, which is the beginning of every index, and is in the order of one.
Where a filter or search has no index, it looks at the newest rows alone, and says so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import JSONField, Model, QuerySet, TextField
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from orchestrations.access.audit import DEEDS
from orchestrations.access.permissions import Action, can
from orchestrations.conf import get_config
from orchestrations.limits import COUNT_CAP, NEWEST_ROWS
from orchestrations.models import Instance
from orchestrations.reading import queries

if TYPE_CHECKING:  # Django's own classes take no type arguments when the site runs
    AnyPaginator = Paginator[Any]
    AnyModelAdmin = admin.ModelAdmin[Any]
else:
    AnyPaginator = Paginator
    AnyModelAdmin = admin.ModelAdmin

PAYLOADS = frozenset(
    {"input", "first_input", "output", "custom_status", "failure", "payload", "attributes", "waits", "request", "state"}
    | {"summary", "initial", "on_timeout", "data"}  # of tasks and votes
    | {"parameters"}  # of bulk jobs
)
HUB = "hub"
OF_INSTANCE = "instance__id__exact"


class CappedPaginator(AnyPaginator):
    """Counts to a cap and no further, so that a page of a million rows costs what one of a hundred does."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most COUNT_CAP."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNT_CAP].count())


class HubFilter(admin.SimpleListFilter):
    """By task hub; the site's own unless another is chosen."""

    title = "task hub"
    parameter_name = HUB

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The hubs, found along the index, without the site's own."""
        return [(hub, hub) for hub in queries.hub_names() if hub != get_config().task_hub]

    def choices(self, changelist: Any) -> Any:
        """The site's own stands in the place of All."""
        first, *others = super().choices(changelist)
        return [{**first, "display": get_config().task_hub}, *others]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Nothing to do: the list is one hub's already."""
        return rows


class PeriodFilter(admin.SimpleListFilter):
    """By an instant, back from now: what a date hierarchy is for, without its reading of every row.

    ``by_period`` makes one for a column.
    """

    column = ""
    PERIODS: ClassVar[dict[str, tuple[str, timedelta]]] = {
        "hour": ("Past hour", timedelta(hours=1)),
        "day": ("Past day", timedelta(days=1)),
        "week": ("Past 7 days", timedelta(days=7)),
        "month": ("Past 30 days", timedelta(days=30)),
    }

    @classmethod
    def begin(cls, period: str | None) -> datetime | None:
        """When that period began; None for what is no period."""
        chosen = cls.PERIODS.get(period or "")
        return timezone.now() - chosen[1] if chosen else None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The periods."""
        return [(key, label) for key, (label, _) in self.PERIODS.items()]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of that period."""
        begin = self.begin(self.value())
        return rows.filter(**{f"{self.column}__gte": begin}) if begin else rows


def by_period(column: str, title: str) -> type[PeriodFilter]:
    """A filter by that column; ``title`` is also the parameter's name."""
    return type(f"By{title.title()}", (PeriodFilter,), {"column": column, "title": title, "parameter_name": title})


class ActionFilter(admin.SimpleListFilter):
    """By what somebody did; the choices are known and not looked for among the rows."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All that a row of the audit trail can tell of."""
        return list(DEEDS.items())

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of that act."""
        return rows.filter(action=self.value()) if self.value() else rows


def hub_of(request: HttpRequest) -> str:
    """The task hub whose rows a list shows."""
    return request.GET.get(HUB) or get_config().task_hub


class ReadOnlyAdmin(AnyModelAdmin):
    """Shows rows to who may view them. Payloads need their own permission, and no list loads them."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would count the whole table
    list_per_page = 50
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    actions: Any = None
    sortable_by: ClassVar[tuple[str, ...]] = ()  # a column's order without an index reads the whole table
    indexed: ClassVar[frozenset[str]] = frozenset({HUB})
    """Parameters of the list that an index serves; with any other one, only the newest rows are looked at."""

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
        rows = super().get_queryset(request).defer(*payload_columns(self.model))
        if _has(self.model, "instance"):
            inherited = [f"instance__{column}" for column in payload_columns(Instance)]
            rows = rows.select_related("instance").defer(*payload_columns(self.model), *inherited)
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows of the list: those of one hub, that the search finds; bounded where no index helps."""
        rows = self.narrowed(request, queryset)
        term = search_term.strip()
        if term and not queries.storable(term):
            return rows.none(), False
        if term:
            rows = self.found(request, rows, term)
        elif set(request.GET) - self.indexed - LAYOUT:
            rows = newest(rows)
        return rows, False

    def narrowed(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of the chosen hub."""
        return rows.filter(hub=hub_of(request)) if _has(self.model, HUB) else rows

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """What a search for the term finds."""
        return rows.none()

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        """Payload columns, for who may not see them."""
        return None if can(request.user, Action.VIEW_PAYLOADS) else payload_columns(self.model)

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the instance."""
        instance = obj if isinstance(obj, Instance) else obj.instance
        return self.instance_url(instance.hub, instance.instance_id)

    @staticmethod
    def instance_url(hub: str, instance_id: str) -> str:
        """Where the dashboard shows that instance."""
        return reverse("dashboard:instance", args=[hub, instance_id])


LAYOUT = frozenset({"p", "q", "o", "all", "e", "_facets", "_popup", "_to_field"})
"""Parameters of Django's own lists that choose no rows."""


class OffTheDashboard(ReadOnlyAdmin):
    """Rows of which the dashboard has no page."""

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """None."""
        return None


class BelongsToInstanceAdmin(ReadOnlyAdmin):
    """Rows of one instance, found by its id."""

    search_fields = ("instance__instance_id",)
    search_help_text = "A whole instance id. Filters look at the newest rows alone."
    raw_id_fields: ClassVar[list[str] | tuple[str, ...]] = ("instance",)
    indexed = frozenset({HUB, OF_INSTANCE})

    def narrowed(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of the chosen hub, where they know theirs; those of one instance, whatever its hub."""
        return rows if OF_INSTANCE in request.GET else super().narrowed(request, rows)

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """The rows of that instance, by the index on its primary key."""
        owner = Instance.objects.using(rows.db).filter(hub=hub_of(request), instance_id=term)
        return rows.filter(instance_id__in=list(owner.values_list("pk", flat=True)))


def newest(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The rows among the newest NEWEST_ROWS of the table, by primary key."""
    last = rows.model._default_manager.using(rows.db).order_by("-pk").values_list("pk", flat=True).first()
    return rows if last is None else rows.filter(pk__gt=last - NEWEST_ROWS)


def payload_columns(model: type[Model]) -> list[str]:
    """The columns that hold what only who may see payloads sees."""
    fields = model._meta.get_fields()
    return [field.name for field in fields if isinstance(field, TextField | JSONField) and field.name in PAYLOADS]


def _has(model: type[Model], name: str) -> bool:
    return any(field.name == name for field in model._meta.get_fields())
