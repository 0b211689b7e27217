"""The form of the preferences page, and how columns are shown, hidden and moved."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from django import forms
from django.utils import timezone

from orchestrations.interfaces.dashboard.columns import ALWAYS, COLUMNS
from orchestrations.models import Preferences

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Preferences]
else:
    ModelForm = forms.ModelForm


@cache
def zone_names() -> tuple[str, ...]:
    """The zones that this host knows, by region and city, and UTC."""
    return ("UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


def _zones() -> Iterator[tuple[str, str]]:
    yield "", f"As the site ({timezone.get_default_timezone_name()})"
    for name in zone_names():
        yield name, name.replace("_", " ")


class ZoneField(forms.ChoiceField):
    """A zone, or that of the site, which is a choice like any other: the label calls it no option."""

    says_optional = False


class PreferencesForm(ModelForm):
    """Everything but the columns, which have buttons of their own."""

    time_zone = ZoneField(choices=_zones, required=False, help_text="In which the dashboard shows times.")

    class Meta:
        model = Preferences
        fields = ("time_zone", "theme", "density", "shortcuts")
        labels = {"shortcuts": "Single keys are shortcuts"}  # noqa: RUF012 - Django reads it once
        help_texts = {  # noqa: RUF012
            "theme": "In this browser, and in others until you choose another there.",
            "density": "How much room the rows of tables take.",
            "shortcuts": "Press ? on any page to see them.",
        }


def arranged(keys: list[str], act: str, key: str) -> list[str]:
    """The columns after ``show``, ``hide``, ``earlier`` or ``later``; none, that is the usual, after ``reset``."""
    if act == "reset":
        return []
    if key not in COLUMNS:
        return keys
    if act == "show" and key not in keys:
        return [*keys, key]
    if act == "hide" and key != ALWAYS:
        return [other for other in keys if other != key]
    if act in ("earlier", "later") and key in keys:
        place = keys.index(key)
        target = min(max(place + (1 if act == "later" else -1), 0), len(keys) - 1)
        keys.insert(target, keys.pop(place))
    return keys
