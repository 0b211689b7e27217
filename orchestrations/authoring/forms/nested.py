"""Fields that hold a form: one object, or rows of them. Plain fields of a page: no JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.forms.utils import ErrorDict
from django.utils.safestring import SafeString

from orchestrations.authoring.forms.fields import ChoiceField, field_for, length_validators
from orchestrations.authoring.forms.shapes import WRAPPED, FieldShape
from orchestrations.limits import FORM_ROWS

ADD = "add"  # after the field's name: the button for one more row


class Submitted(NamedTuple):
    """What the browser sent, and under which name."""

    data: Mapping[str, Any]
    files: Mapping[str, Any]
    name: str


class ShapesForm(forms.Form):
    """A form of shapes. With ``is_optional`` one that was left empty is valid, and ``is_blank``."""

    def __init__(self, *args: Any, shapes: tuple[FieldShape, ...], is_optional: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.shapes = shapes
        self.is_optional = is_optional
        self.fields = {shape.name: nested_field_for(shape) for shape in shapes}
        if is_optional:
            self._begin_empty()

    @property
    def has_rows(self) -> bool:
        """Whether there is a button for more rows, which the Enter key must not press."""
        return any(isinstance(field, RowsField) for field in self.fields.values())

    def _begin_empty(self) -> None:
        """Fill nothing in and choose nothing: what comes back untouched has to be empty."""
        self.use_required_attribute = False
        for field in self.fields.values():
            field.initial = None
            if isinstance(field, ChoiceField):
                field.make_retractable()

    def full_clean(self) -> None:
        """Checks the fields, unless all are empty and may be."""
        super().full_clean()
        if self.is_bound and self.is_optional and self.is_blank:
            self._errors = ErrorDict()
            self.cleaned_data = {}

    @cached_property
    def is_blank(self) -> bool:
        """Whether nothing was typed. Boxes don't count: what isn't ticked can't be told from what isn't there."""
        typed = (name for name, field in self.fields.items() if not isinstance(field, forms.BooleanField))
        return not any(_has_content(self[name].data) for name in typed)


class NestedWidget(forms.Widget):
    """Takes the parts of a nested field from what was submitted."""

    use_fieldset = True

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Submitted:
        """All that was sent; the field picks its own."""
        return Submitted(data, files, name)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Whether no part of the field was sent."""
        return not any(key.startswith(f"{name}-") for key in (*data, *files))

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Nothing: a page draws the forms inside, one by one."""
        return SafeString("")


class GroupField(forms.Field):
    """One object."""

    widget = NestedWidget

    def __init__(self, *, shape: FieldShape, **options: Any) -> None:
        super().__init__(**options)
        self.shape = shape

    def subform(self, submitted: Submitted | None, **options: Any) -> ShapesForm:
        """The form inside."""
        data, files = (None, None) if submitted is None else (submitted.data, submitted.files)
        return ShapesForm(data, files, shapes=self.shape.fields, is_optional=not self.required, **options)

    def clean(self, value: Submitted) -> dict[str, Any] | None:
        """The cleaned values of the form inside, or None where it was left empty."""
        form = self.subform(value, prefix=value.name)
        if not form.is_valid():
            raise ValidationError(_problems(form), code="invalid")
        return form.cleaned_data or None

    def get_bound_field(self, form: Any, field_name: str) -> BoundField:
        """A bound field that offers the form inside as ``subform``."""
        return GroupBoundField(form, self, field_name)


class RowsField(forms.Field):
    """A list of objects or of bare values. A row left empty is none."""

    widget = NestedWidget

    def __init__(self, *, shape: FieldShape, **options: Any) -> None:
        super().__init__(**options)
        self.shape = shape
        self.validators += length_validators(shape)

    def row(self, submitted: Submitted | None, **options: Any) -> ShapesForm:
        """The form of one row."""
        data, files = (None, None) if submitted is None else (submitted.data, submitted.files)
        return ShapesForm(data, files, shapes=self.shape.fields, is_optional=True, **options)

    def clean(self, value: Submitted) -> list[Any]:
        """The cleaned values of the rows that hold any."""
        count = count_rows(value)
        if count > FORM_ROWS:
            raise ValidationError(f"{count} rows were sent, and {FORM_ROWS} are allowed.", code="max_length")
        rows = [self.row(value, prefix=f"{value.name}-{index}") for index in range(count)]
        problems = [
            f"Row {index}, {problem}"
            for index, row in enumerate(rows, 1)
            if not row.is_valid()
            for problem in _problems(row)
        ]
        if problems:
            raise ValidationError(problems, code="invalid")
        found = [row.cleaned_data for row in rows if not row.is_blank]
        cleaned = [values[WRAPPED] for values in found] if self.shape.is_flat else found
        if self.required and not cleaned:
            raise ValidationError(self.error_messages["required"], code="required")
        self.run_validators(cleaned)
        return cleaned

    def get_bound_field(self, form: Any, field_name: str) -> BoundField:
        """A bound field that offers its rows as ``rows``."""
        return RowsBoundField(form, self, field_name)


class GroupBoundField(BoundField):
    """A nested object on a page."""

    field: GroupField

    @cached_property
    def subform(self) -> ShapesForm:
        """The form inside, with what was typed or what it begins with."""
        submitted = self.data if self.form.is_bound else None
        initial = self.initial if isinstance(self.initial, Mapping) else None
        form = self.field.subform(submitted, prefix=self.html_name, auto_id=self.form.auto_id, initial=initial)
        return _quiet_unless(self, form)


class RowsBoundField(BoundField):
    """A list on a page."""

    field: RowsField

    @property
    def add_name(self) -> str:
        """The name of the button that asks for one more row."""
        return f"{self.html_name}-{ADD}"

    @cached_property
    def rows(self) -> list[ShapesForm]:
        """What was typed, or what the field begins with and an empty row."""
        if self.form.is_bound:
            more = 1 if self.add_name in self.form.data else 0
            count = min(max(count_rows(self.data) + more, 1), FORM_ROWS)
            return [self._row(index, self.data, None) for index in range(count)]
        initial = self.initial if isinstance(self.initial, list) else []
        if self.field.shape.is_flat:
            initial = [{WRAPPED: value} for value in initial]
        return [self._row(index, None, values) for index, values in enumerate([*initial, None][:FORM_ROWS])]

    @property
    def has_row_errors(self) -> bool:
        """Whether the errors stand in the rows; otherwise the list as a whole has them."""
        return any(row.is_bound and row.errors for row in self.rows)

    def _row(self, index: int, submitted: Submitted | None, initial: Any) -> ShapesForm:
        prefix = f"{self.html_name}-{index}"
        row = self.field.row(submitted, prefix=prefix, auto_id=self.form.auto_id, initial=initial)
        return _quiet_unless(self, row)


def nested_field_for(shape: FieldShape) -> forms.Field:
    """The form field of any shape."""
    kinds: dict[str, Any] = {"group": GroupField, "rows": RowsField}
    kind = kinds.get(shape.type)
    if kind is None:
        return field_for(shape)
    field: forms.Field = kind(
        shape=shape,
        required=shape.blank == "refuse",
        label=shape.label,
        help_text=shape.help,
        initial=shape.default,
    )
    return field


def count_rows(submitted: Submitted) -> int:
    """How many rows were sent, counted by the highest number in a name."""
    numbered = re.compile(rf"{re.escape(submitted.name)}-(\d{{1,4}})-")
    found = (numbered.match(key) for key in (*submitted.data, *submitted.files))
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _quiet_unless(bound: BoundField, form: ShapesForm) -> ShapesForm:
    """Show no errors of a form inside where the field itself has none: nothing was checked."""
    if form.is_bound and not bound.errors:
        form._errors = ErrorDict()
    return form


def _problems(form: forms.Form) -> list[str]:
    return [f"{form[name].label}: {problem}" for name, problems in form.errors.items() for problem in problems]


def _has_content(value: Any) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)
