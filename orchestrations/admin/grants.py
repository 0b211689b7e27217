"""Grants in Django's admin: who may do what to which orchestrators. Nobody gives away more than they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from orchestrations.access.permissions import Action, can
from orchestrations.admin.noting import note
from orchestrations.admin.patterns import checked_pattern
from orchestrations.models import Grant
from orchestrations.models.audit import Deed

if TYPE_CHECKING:  # Django's own classes take no type arguments when the site runs
    AnyGrantAdmin = admin.ModelAdmin[Grant]
    AnyGrantForm = forms.ModelForm[Grant]
else:
    AnyGrantAdmin = admin.ModelAdmin
    AnyGrantForm = forms.ModelForm

LABELS = {action: action.value.replace("_", " ") for action in Action}


class GrantForm(AnyGrantForm):
    """Whom, what, and where."""

    actions = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, help_text="What may be done.")

    class Meta:
        model = Grant
        fields = ("user", "group", "actions", "hub", "names")

    def clean_hub(self) -> str:
        """Refuse a pattern that can't be meant."""
        return checked_pattern(self.cleaned_data["hub"])

    def clean_names(self) -> str:
        """Refuse a pattern that can't be meant."""
        return checked_pattern(self.cleaned_data["names"])


@admin.register(Grant)
class GrantAdmin(AnyGrantAdmin):
    """Grants, the newest first."""

    form = GrantForm
    list_display = ("holder", "action_list", "names", "hub", "created_at")
    list_filter = ("hub", "group")
    list_select_related = ("user", "group")
    search_fields = ("=user__username", "=group__name", "=names")
    search_help_text = "A user, a group, or a pattern of names."
    autocomplete_fields = ("user", "group")
    ordering = ("-pk",)

    @admin.display(description="user or group")
    def holder(self, row: Grant) -> str:
        """Whose it is."""
        return _holder(row)

    @admin.display(description="actions")
    def action_list(self, row: Grant) -> str:
        """The acts on one line."""
        return ", ".join(row.actions)

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:
        """Leave an audit row, with what the grant was before."""
        before = {"former": _told(Grant.objects.get(pk=obj.pk))} if change else {}
        super().save_model(request, obj, form, change)
        note(request, Deed.CHANGED_GRANT if change else Deed.GRANTED, {**_told(obj), **before}, hub=obj.hub)

    def delete_model(self, request: HttpRequest, obj: Grant) -> None:
        """Leave an audit row."""
        note(request, Deed.DELETED_GRANT, _told(obj), hub=obj.hub)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Grant]) -> None:
        """Leave an audit row for each."""
        for row in queryset.select_related("user", "group"):
            note(request, Deed.DELETED_GRANT, _told(row), hub=row.hub)
        super().delete_queryset(request, queryset)

    def get_form(self, request: HttpRequest, obj: Grant | None = None, change: bool = False, **kwargs: Any) -> Any:
        """The form, with the acts that this person may grant and those that are granted already."""
        form = super().get_form(request, obj, change, **kwargs)
        kept = set() if obj is None else set(obj.actions)
        field = form.base_fields.get("actions")
        if isinstance(field, forms.MultipleChoiceField):
            offered = [action for action in Action if action.value in kept or can(request.user, action)]
            field.choices = [(action.value, LABELS[action]) for action in offered]
        return form


def _holder(row: Grant) -> str:
    return str(row.user) if row.user_id else f"group {row.group}"


def _told(row: Grant) -> dict[str, Any]:
    return {"to": _holder(row), "acts": list(row.actions), "names": row.names, "hub": row.hub}
