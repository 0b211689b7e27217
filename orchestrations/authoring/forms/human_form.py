"""``HumanForm``: a Django form that a wait shows to people, and what it says about itself in ``class Human``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.forms import DeclarativeFieldsMetaclass

from orchestrations.errors import ConfigurationError

KEYS = ("outcome", "layout", "version", "bulk")


@dataclass(frozen=True, slots=True)
class HumanOptions:
    """What ``class Human`` of a form says."""

    outcome: str = ""
    """Name of the field that holds the verdict."""
    layout: tuple[str, ...] = ()
    """The order of the fields; those not named come after."""
    version: int = 1
    """Raised when the meaning of an answer changes; open questions keep the form that they were asked with."""
    bulk: bool = False
    """Whether many questions with this form may be answered at once."""


def _read(form: Any) -> HumanOptions:
    declared = getattr(form, "Human", None)
    told = {key: getattr(declared, key) for key in dir(declared) if not key.startswith("_")} if declared else {}
    unknown = [key for key in told if key not in KEYS]
    if unknown:
        raise _refusal(form, f"has {unknown[0]!r}, which means nothing", f"Known are {', '.join(KEYS)}.")
    options = HumanOptions(**told | {"layout": tuple(told.get("layout", ()))})
    _check(form, options)
    return options


def _check(form: Any, options: HumanOptions) -> None:
    fields: dict[str, forms.Field] = form.base_fields
    named = [*options.layout, *([options.outcome] if options.outcome else [])]
    for name in named:
        if name not in fields:
            raise _refusal(form, f"names {name!r}, and the form has no such field", f"It has {', '.join(fields)}.")
    if options.outcome and not isinstance(fields[options.outcome], forms.ChoiceField):
        problem = f"names {options.outcome!r} as the outcome, which is no choice"
        raise _refusal(form, problem, "Make it a ChoiceField: a verdict is chosen, never assumed.")
    if type(options.version) is not int or options.version < 1:
        raise _refusal(form, f"has the version {options.version!r}", "Count from 1 in whole numbers.")
    if type(options.bulk) is not bool:
        raise _refusal(form, f"says bulk = {options.bulk!r}", "Say True or False.")


def _refusal(form: Any, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"The Human of the form {form.__module__}.{form.__qualname__} {problem}. {remedy}")


class HumanFormMetaclass(DeclarativeFieldsMetaclass):
    """Reads ``class Human`` when the form is declared. Raises ConfigurationError for what can't work."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attributes: dict[str, Any], **options: Any) -> Any:
        """Make the class, with its options as ``human``."""
        made: Any = super().__new__(mcs, name, bases, attributes, **options)
        made.human = _read(made)
        return made


class HumanForm(forms.Form, metaclass=HumanFormMetaclass):
    """A form for ``wait_for_external_event(..., form=...)``. Its ``clean`` runs before anything resumes.

    ``class Human`` inside may say ``outcome`` (the name of the field with the verdict), ``layout`` (the order of the
    fields), ``version`` (an int, raised when the meaning of an answer changes) and ``bulk`` (whether many questions may
    be answered at once).
    """

    human: HumanOptions

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.order_fields(list(self.human.layout))
