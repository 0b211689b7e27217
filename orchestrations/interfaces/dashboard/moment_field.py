"""A field for an instant, which people type as they read it: in their own zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils import timezone

from orchestrations.interfaces.dashboard.reader import ReadersZone


class MomentField(forms.DateTimeField):
    """An instant of the present zone, which the label names behind the field's own: "Start at (Kolkata)"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=_MomentInput, **options)

    def to_python(self, value: Any) -> datetime | None:
        """Returns the instant; raises ValidationError for one that no row could tell again."""
        moment = super().to_python(value)
        try:
            return None if moment is None else moment.astimezone(UTC)
        except OverflowError:
            raise forms.ValidationError("This is outside of the years 1 to 9999 in UTC.") from None

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> BoundField:
        """Returns the field with the label as this reader sees it."""
        bound = BoundField(form, self, field_name)
        zone = timezone.get_current_timezone()
        bound.label = f"{bound.label} ({zone.label if isinstance(zone, ReadersZone) else zone})"
        return bound


class _MomentInput(forms.DateTimeInput):
    input_type = "datetime-local"

    def format_value(self, value: object) -> str | None:
        """As the browser's own field writes it."""
        return value.strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else super().format_value(value)
