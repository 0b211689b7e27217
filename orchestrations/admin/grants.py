"""Grants in Django's admin: who may do what to which orchestrators. Nobody gives away more than they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from orchestrations.access.permissions import Action, can
from orchestrations.admin.patterns import checked_pattern
from orchestrations.models import Grant

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
        return str(row.user) if row.user_id else f"group {row.group}"

    @admin.display(description="actions")
    def action_list(self, row: Grant) -> str:
        """The acts on one line."""
        return ", ".join(row.actions)

    def get_form(self, request: HttpRequest, obj: Grant | None = None, change: bool = False, **kwargs: Any) -> Any:
        """The form, with the acts that this person may grant and those that are granted already."""
        form = super().get_form(request, obj, change, **kwargs)
        kept = set() if obj is None else set(obj.actions)
        field = form.base_fields.get("actions")
        if isinstance(field, forms.MultipleChoiceField):
            offered = [action for action in Action if action.value in kept or can(request.user, action)]
            field.choices = [(action.value, LABELS[action]) for action in offered]
        return form
