"""The form of a saved view: its name, what it shows, and who sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.models import Group

from orchestrations.access.permissions import Action, can
from orchestrations.interfaces.dashboard.listing import ORDERS
from orchestrations.models import SavedView
from orchestrations.search.language import QueryError, parse, write

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[SavedView]
else:
    ModelForm = forms.ModelForm

MINE, EVERYBODY, GROUP = "mine", "everybody", "group:"


class SavedViewForm(ModelForm):
    """Offers as audience what the person may choose: their groups, and everybody where they hold the permission."""

    audience = forms.ChoiceField(label="Who sees it")

    class Meta:
        model = SavedView
        fields = ("name", "query", "sort", "is_pinned")
        labels = {"is_pinned": "In the navigation"}  # noqa: RUF012 - Django reads it once
        widgets = {  # noqa: RUF012
            "name": forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
            "query": forms.Textarea(attrs={"rows": 2, "class": "mono", "spellcheck": "false"}),
            "sort": forms.HiddenInput,
        }

    def __init__(self, *args: Any, user: Any, zone: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = zone
        groups = Group.objects.all() if user.is_superuser else user.groups.all()
        choices = [(MINE, "Only you"), *((f"{GROUP}{group.pk}", f"Group {group.name}") for group in groups)]
        if can(user, Action.PUBLISH_VIEW):
            choices.append((EVERYBODY, "Everybody"))
        audience: Any = self.fields["audience"]
        audience.choices = choices
        audience.initial = audience_of(self.instance)
        self.fields["query"].required = False

    def clean_query(self) -> str:
        """In its canonical form."""
        try:
            return write(parse(self.cleaned_data["query"], self.zone))
        except QueryError as error:
            raise forms.ValidationError(str(error)) from error

    def clean_sort(self) -> str:
        """An order that the list has."""
        sort: str = self.cleaned_data["sort"]
        return sort if sort in ORDERS else ""

    def clean(self) -> dict[str, Any]:
        """One person's views have different names, so that they can be told apart."""
        given = super().clean() or self.cleaned_data
        view = self.instance
        alike = SavedView.objects.filter(owner=view.owner_id, hub=view.hub, name=given.get("name")).exclude(pk=view.pk)
        if alike.exists():
            self.add_error("name", "You have a view of that name.")
        return given

    def save(self, commit: bool = True) -> SavedView:
        """Keep it with its audience."""
        audience: str = self.cleaned_data["audience"]
        self.instance.for_everybody = audience == EVERYBODY
        self.instance.group_id = int(audience.removeprefix(GROUP)) if audience.startswith(GROUP) else None
        return super().save(commit)


def audience_of(view: SavedView) -> str:
    """The choice that stands for who sees the view."""
    if view.for_everybody:
        return EVERYBODY
    return f"{GROUP}{view.group_id}" if view.group_id else MINE
