"""The verbs of forms: describe what was declared, bind what was typed, and read what was meant."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.forms.utils import ErrorDict

from orchestrations.authoring import payloads
from orchestrations.authoring.forms.annotations import describe_type, is_open_ended
from orchestrations.authoring.forms.declared_checks import problems_of
from orchestrations.authoring.forms.django_forms import UNKNOWN, describe_form_class, is_form_class
from orchestrations.authoring.forms.files import AnswerFile
from orchestrations.authoring.forms.human_form import HumanForm
from orchestrations.authoring.forms.members import members_of
from orchestrations.authoring.forms.nested import ADD, ShapesForm
from orchestrations.authoring.forms.shapes import JSON_BOX, WRAPPED, FormDescription
from orchestrations.authoring.forms.values import KeepFile, answer_of, as_posted, plain, restored

logger = logging.getLogger("orchestrations.forms")


class DescribedForm(ShapesForm):
    """A form made from a description. Where its type is in this process, the type has the last word."""

    def __init__(
        self, *args: Any, description: FormDescription, declared: Any = None, is_stand_in: bool = False, **options: Any
    ) -> None:
        drawn = tuple(shape for shape in description.shapes if shape.type != UNKNOWN)
        super().__init__(*args, shapes=drawn, **options)
        self.description = description
        self.declared = declared
        self.is_stand_in = is_stand_in

    def clean(self) -> dict[str, Any]:
        """Checks the whole as the declared type would."""
        missing = [shape.label for shape in self.description.shapes if shape.type == UNKNOWN]
        if missing:
            raise forms.ValidationError(
                f"{', '.join(missing)} can only be asked for where the code of {self.description.path} is installed. "
                "Answer on a host that has it."
            )
        if self.declared is not None and not self.errors:
            answer = answer_of(self.description, self.cleaned_data, _unkept)
            for name, problem in problems_of(self.declared, answer):
                at = WRAPPED if self.description.is_wrapped else name
                self.add_error(at if at in self.fields else None, problem)
        return self.cleaned_data


def describe_form(declared: object = None, *, or_json: bool = False) -> FormDescription:
    """Describe a HumanForm, a Django form or a type as plain data that can be stored beside a question.

    None, ``Any`` and plain JSON objects give a box for JSON. Raises ConfigurationError, naming the field and what is
    supported, for a type that no form can ask for; with ``or_json`` that gives the box too.
    """
    if is_open_ended(declared):
        return JSON_BOX
    if is_form_class(declared):
        return describe_form_class(declared)  # type: ignore[arg-type]
    try:
        description = describe_type(declared)
    except Exception:
        if or_json:
            return JSON_BOX
        raise
    if isinstance(declared, type) and not description.is_wrapped:
        return replace(description, path=f"{declared.__module__}.{declared.__qualname__}")
    return description


def bind_form(
    stored: FormDescription,
    data: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
    initial: Mapping[str, Any] | None = None,
    *,
    declared: object = None,
    **options: Any,
) -> forms.Form:
    """Return the form of a description, bound to what was typed where there is any.

    The class that the description names is used where this process has imported it and it is still the same version;
    nothing is imported because a database says so. Otherwise the form is made from what was stored, and ``is_stand_in``
    is true of it. ``declared`` names the class for who has it. ``options`` are ``auto_id`` and ``prefix`` as of any
    Django form.
    """
    found = declared if declared is not None else _find(stored.path)
    if is_form_class(found) and _is_same_version(found, stored):
        form: forms.Form = found(data, files, initial=initial, **options)  # type: ignore[operator]
        if stored.outcome in form.fields:
            _show_verdicts(form.fields[stored.outcome])
        return form
    is_known = found is not None and not is_form_class(found) and _is_same_type(found, stored)
    return DescribedForm(
        data,
        files,
        initial=_wrapped(stored, initial),
        description=stored,
        declared=found if is_known else None,
        is_stand_in=bool(stored.path) and not is_known,
        **options,
    )


def bind_payload(stored: FormDescription, payload: Any, *, declared: object = None) -> forms.Form:
    """Bind a JSON value, such as an event that a program raises, so that the form may judge it as it would a person's.

    What is no such object, or has a field that the form doesn't know, makes the form invalid.
    """
    told: Mapping[str, Any] = {WRAPPED: payload}
    problem = ""
    if not stored.is_wrapped:
        told, problem = (payload, "") if isinstance(payload, Mapping) else ({}, "This has to be an object.")
    if unknown := [str(name) for name in told if stored.shape(str(name)) is None]:
        problem = f"There is no field {unknown[0]!r}. Known are {', '.join(shape.name for shape in stored.shapes)}."
    posted: Mapping[str, Any] = {}
    try:
        posted = as_posted(stored.shapes, told)
    except TypeError as refused:
        problem = str(refused)
    form = bind_form(stored, posted, {}, declared=declared)
    if problem:
        form.add_error(None, problem)
    return form


def check_form(form: forms.Form) -> bool:
    """Whether the form is valid. A form whose own code raises is not, says so, and is logged."""
    try:
        return form.is_valid()
    except Exception as error:  # the form's own code may raise anything
        logger.exception("The check of the form %s failed", type(form).__qualname__)
        form.add_error(None, f"The check of this form failed with {type(error).__name__}. Nothing was sent.")
        return False


def cleaned_payload(form: forms.Form, keep: KeepFile | None = None) -> Any:
    """The JSON value of a valid form. Raises TypeError for a value without JSON form.

    Uploaded files are kept now, by ``keep``. A form that was bound to JSON has none, and needs none.
    """
    keep = keep or _unkept
    if isinstance(form, DescribedForm):
        return answer_of(form.description, form.cleaned_data, keep)
    return {name: plain(value, keep) for name, value in form.cleaned_data.items()}


def decode_answer(text: str | None, declared: object, subject: str) -> Any:
    """The answer as its form or type declares it. Raises PayloadRejected.

    A type gives a value of that type; a Django form gives a dict with its Decimals, dates and times, and the keys of
    models as keys.
    """
    if not is_form_class(declared):
        return payloads.decode(text, declared, subject)
    return restored(describe_form_class(declared).shapes, payloads.decode(text, None, subject))  # type: ignore[arg-type]


def outcome_of(stored: FormDescription, payload: Any) -> str:
    """The verdict in a payload as a word; ``approve`` or ``reject`` for a bool, empty where the form has none."""
    if not stored.outcome:
        return ""
    told = payload if stored.is_wrapped else payload.get(stored.outcome) if isinstance(payload, Mapping) else None
    if isinstance(told, bool):
        return "approve" if told else "reject"
    return "" if told is None else str(told)


def is_stand_in(form: forms.Form) -> bool:
    """Whether the form was made from what was stored, because its class is not here or has another version."""
    return isinstance(form, DescribedForm) and form.is_stand_in


def wants_more_rows(form: forms.Form) -> bool:
    """Whether a button for one more row was pressed, so that the form is to be shown again and not checked."""
    return any(f"{form.add_prefix(name)}-{ADD}" in form.data for name in form.fields)


def leave_unchecked(form: forms.Form) -> None:
    """Show what was typed, without a verdict on it."""
    vars(form).update(_errors=ErrorDict(), cleaned_data={})


def _find(path: str) -> Any:
    """The class of that dotted name in a module that is imported already, or None."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:end]))
        for name in parts[end:] if found is not None else ():
            found = getattr(found, name, None)
        if isinstance(found, type) and (is_form_class(found) or members_of(found) is not None):
            return found
    return None


def _is_same_version(form: Any, stored: FormDescription) -> bool:
    return not issubclass(form, HumanForm) or form.human.version == stored.version


def _is_same_type(kind: object, stored: FormDescription) -> bool:
    described = describe_form(kind, or_json=True)
    return described.shapes == stored.shapes and described.is_wrapped == stored.is_wrapped


def _show_verdicts(field: forms.Field) -> None:
    """Show all verdicts at once, and choose none."""
    if isinstance(field, forms.ChoiceField) and type(field.widget) is forms.Select:
        choices: Any = field.choices
        field.widget = forms.RadioSelect()
        field.choices = [choice for choice in choices if choice[0] not in ("", None)]


def _wrapped(stored: FormDescription, initial: Any) -> Any:
    return {WRAPPED: initial} if stored.is_wrapped and initial is not None else initial


def _unkept(upload: UploadedFile[Any]) -> AnswerFile:
    return AnswerFile(upload.name or "file", upload.size or 0, upload.content_type or "", "")
