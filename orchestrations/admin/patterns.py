"""Patterns of names in forms of the admin."""

from __future__ import annotations

from django import forms

from orchestrations.errors import InvalidPattern
from orchestrations.patterns import check_pattern


def checked_pattern(text: str) -> str:
    """Return the pattern. Raises ValidationError where it can't be meant."""
    try:
        return check_pattern(text)
    except InvalidPattern as error:
        raise forms.ValidationError(str(error), error.code) from error
