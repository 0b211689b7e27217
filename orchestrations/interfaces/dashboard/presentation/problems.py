"""What is wrong with a form, as a list that leads to the fields: also to those in the rows and groups of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.forms import BaseForm
from django.forms.boundfield import BoundField

from orchestrations.authoring.forms.nested import GroupBoundField, RowsBoundField


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. ``target`` is the id of the control to mend it at; empty for one of the form as a whole."""

    message: str
    label: str = ""
    target: str = ""


def problems(form: BaseForm | None) -> list[Problem]:
    """The problems of a form, first those of the whole and then in the order of its fields."""
    if form is None or not form.is_bound or not form.errors:
        return []
    whole = [Problem(str(message)) for message in form.non_field_errors()]
    return [*whole, *(problem for field in form for problem in _of_field(field, ""))]


def _of_field(field: BoundField, before: str) -> Iterator[Problem]:
    if not field.errors:
        return
    label = f"{before}{field.label}"
    if isinstance(field, GroupBoundField):
        yield from (problem for cell in field.subform for problem in _of_field(cell, f"{label}, "))
    elif isinstance(field, RowsBoundField) and field.has_row_errors:
        for number, row in enumerate(field.rows, 1):
            yield from (problem for cell in row for problem in _of_field(cell, f"{label} {number}, "))
    else:
        yield from (Problem(str(message), label, _target(field)) for message in field.errors)


def _target(field: BoundField) -> str:
    """The id of the field's first control."""
    if isinstance(field, RowsBoundField):
        return _target(next(iter(field.rows[0])))
    return f"{field.auto_id}_0" if field.use_fieldset else str(field.id_for_label or field.auto_id)
