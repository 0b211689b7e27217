"""What the declared type itself says about an answer: its own validators, after the form's."""

from __future__ import annotations

import logging
import re
from typing import Any

import msgspec

from orchestrations.authoring import payloads
from orchestrations.authoring.conversions import decoder_for, read_model, type_name
from orchestrations.authoring.forms.members import is_pydantic_model
from orchestrations.errors import PayloadRejected

logger = logging.getLogger("orchestrations.forms")

PLACE = re.compile(r" - at `\$(?:\.(?P<field>\w+))?[^`]*`$")

Problem = tuple[str | None, str]
"""The name of a field, or None for the whole, and what is wrong."""


def problems_of(declared: Any, payload: Any) -> list[Problem]:
    """What is wrong with the payload by the declared type; nothing where it would be accepted.

    Code of the type that raises something unexpected counts as a refusal, and is logged.
    """
    try:
        if is_pydantic_model(declared):
            return _by_model(declared, payload)
        return _by_decoder(declared, payload)
    except Exception as error:  # the type's own code may raise anything
        logger.exception("The check of an answer as %s failed", type_name(declared))
        return [(None, f"The check of this form failed with {type(error).__name__}. Nothing was sent.")]


def _by_model(model: Any, payload: Any) -> list[Problem]:
    import pydantic

    try:
        read_model(model, payload)
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        return [(_field(told["loc"]), told["msg"].removeprefix("Value error, ")) for told in errors]
    return []


def _field(place: tuple[int | str, ...]) -> str | None:
    return str(place[0]) if place else None


def _by_decoder(declared: Any, payload: Any) -> list[Problem]:
    try:
        text = payloads.encode(payload, "the answer") or "null"
        decoder_for(declared).decode(text)
    except PayloadRejected as rejected:
        return [(None, str(rejected))]
    except msgspec.ValidationError as error:
        message = str(error)
        place = PLACE.search(message)
        said = message[: place.start()] if place else message
        return [(place["field"] if place else None, said.replace("`", ""))]
    return []
