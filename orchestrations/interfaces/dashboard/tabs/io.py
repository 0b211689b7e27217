"""Input, output and custom status: size and type first, a template of the type's own where there is one."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from django.http import HttpRequest
from django.template import Template, TemplateDoesNotExist
from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe

from orchestrations.access.permissions import Action, can
from orchestrations.authoring.registry import registry
from orchestrations.conf import get_config
from orchestrations.errors import DurableError
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.presentation.payloads import PayloadView, read_payload
from orchestrations.models import Instance

logger = logging.getLogger("orchestrations.dashboard")

PARTS = {"input": "Input", "first_input": "First input", "output": "Output", "custom_status": "Custom status"}
TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
FOLDER = "durable/payloads"


@dataclass(frozen=True, slots=True)
class Part:
    """One payload. ``drawn`` is what the template of its type made of it, ``problem`` why that could not be."""

    slug: str
    label: str
    payload: PayloadView | None
    absent: str
    type: str
    drawn: SafeString | str = ""
    problem: str = ""


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """The payloads, for who may see them; a custom status is for everybody who sees the instance."""
    if not can(person(request), Action.VIEW_PAYLOADS, instance):
        return {"may_view_payloads": False, "parts": [_part(instance, "custom_status")]}
    rows = Instance.objects.using(get_config().database)
    whole = rows.only("name", "status", "first_version", *PARTS).filter(pk=instance.pk).first() or instance
    slugs = [slug for slug in PARTS if slug != "first_input" or whole.has_continued]
    return {"may_view_payloads": True, "parts": [_part(whole, slug) for slug in slugs]}


def _part(instance: Instance, slug: str) -> Part:
    has_ended = instance.runtime_status.is_terminal
    absent = {
        "input": "This generation has no input." if instance.has_continued else "It was started without input.",
        "first_input": "It was started without input.",
        "output": "None." if has_ended else "It has not ended yet.",
        "custom_status": "The orchestrator has set none.",
    }
    payload = read_payload(lambda: getattr(instance, slug))
    kind = _type_of(instance, slug)
    drawn, problem = draw(payload, kind, instance, slug) if payload is not None else ("", "")
    return Part(slug, PARTS[slug], payload, absent[slug], kind, drawn, problem)


def draw(payload: PayloadView, kind: str, instance: Instance, slug: str) -> tuple[SafeString | str, str]:
    """What ``durable/payloads/<type>.html`` makes of a payload that is shown whole, or why it fails.

    The template is the site's code: whatever it raises is told on the page and in the log, and the JSON is shown.
    """
    if not payload.is_whole or payload.value is None or not TYPE_NAME.fullmatch(kind):
        return "", ""
    name = f"{FOLDER}/{kind}.html"
    try:
        template: Template = get_template(name)  # type: ignore[assignment]
    except TemplateDoesNotExist:
        return "", ""
    except Exception as error:  # a template with a mistake in it
        return "", _failed(name, error)
    try:
        made = template.render({"value": payload.value, "instance": instance, "part": slug})  # type: ignore[arg-type]
    except Exception as error:  # the template's tags and filters are the site's code
        return "", _failed(name, error)
    return mark_safe(made), ""  # noqa: S308 - rendered by Django's own engine, which has escaped the values


def _failed(name: str, error: Exception) -> str:
    logger.warning("The template %s could not show a payload: %r", name, error)
    return f"The template {name} could not show it: {type(error).__name__}: {error}"


def _type_of(instance: Instance, slug: str) -> str:
    """The class that the function's annotation names, as this process's code has it."""
    if slug == "custom_status" or not registry.has_orchestrator(instance.name):
        return ""
    conversion = registry.orchestrator(instance.name).conversion
    try:
        return conversion.input_type if slug in ("input", "first_input") else conversion.output_type
    except (DurableError, NameError, TypeError, SyntaxError):  # an annotation that can't be resolved
        return ""
