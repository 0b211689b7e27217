"""What people type to start an orchestration: its input, by a form made from its type or as JSON, and how it starts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django import forms

from orchestrations.authoring.forms.binding import bind_form, describe_form
from orchestrations.authoring.forms.shapes import JSON_BOX, FormDescription
from orchestrations.authoring.orchestrators import RegisteredOrchestrator
from orchestrations.client.instance_ids import check_instance_id
from orchestrations.errors import InvalidInstanceId
from orchestrations.interfaces.dashboard.act_forms import read_tags
from orchestrations.interfaces.dashboard.moment_field import MomentField
from orchestrations.limits import IDEMPOTENCY_KEY_LENGTH, INSTANCE_ID_LENGTH, TAG_CHARACTERS, TAGS, VERSION_LENGTH

INPUT = "input"
LINES = {"rows": 2, "class": "mono", "spellcheck": "false"}


class StartForm(forms.Form):
    """How it starts. ``token`` makes a second sending of the same form harmless."""

    token = forms.CharField(max_length=IDEMPOTENCY_KEY_LENGTH, widget=forms.HiddenInput)
    instance_id = forms.CharField(
        label="Instance id",
        max_length=INSTANCE_ID_LENGTH,
        required=False,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        help_text="Made at random where this is left empty.",
    )
    start_at = MomentField(label="Start at", required=False, help_text="At once where this is left empty.")
    version = forms.CharField(
        max_length=VERSION_LENGTH, required=False, help_text="That of the newest code where this is left empty."
    )
    tags = forms.CharField(
        required=False,
        strip=False,
        max_length=TAGS * (2 * TAG_CHARACTERS + 4),
        widget=forms.Textarea(attrs=LINES),
        help_text="One a line, as name=value.",
    )

    def __init__(self, data: Any = None, *, tags: Mapping[str, str] | None = None, version: str = "") -> None:
        lines = "\n".join(f"{name}={value}" for name, value in sorted((tags or {}).items()))
        super().__init__(data, initial={"token": uuid.uuid4().hex, "tags": lines, "version": version})

    def clean_instance_id(self) -> str:
        """An id that an instance can have, or none."""
        typed: str = self.cleaned_data["instance_id"].strip()
        try:
            return check_instance_id(typed) if typed else ""
        except InvalidInstanceId as invalid:
            raise forms.ValidationError(str(invalid)) from invalid

    def clean_tags(self) -> dict[str, str]:
        """The tags."""
        return read_tags(self.cleaned_data["tags"])


def describe_input(definition: RegisteredOrchestrator, *, as_json: bool = False) -> FormDescription | None:
    """What the orchestrator's input is asked for by; None where it takes none."""
    if definition.conversion.parameter is None:
        return None
    return JSON_BOX if as_json else describe_form(definition.conversion.input_decoder.type, or_json=True)


def input_form(
    definition: RegisteredOrchestrator, described: FormDescription, data: Any, files: Any, like: str | None
) -> forms.Form:
    """The form of the input, filled in with the JSON text of ``like`` where there is one."""
    declared = None if described is JSON_BOX else definition.conversion.input_decoder.type
    initial = None if like is None else json.loads(like)
    if described.is_wrapped or isinstance(initial, Mapping):
        return bind_form(described, data, files, initial, declared=declared, prefix=INPUT)
    return bind_form(described, data, files, declared=declared, prefix=INPUT)
