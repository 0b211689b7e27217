"""What people type when they act on an instance: reasons, events, results, tags, the id that guards what destroys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from orchestrations.access.permissions import Action
from orchestrations.authoring import payloads
from orchestrations.client import SerializedJson
from orchestrations.client.arguments import check_event_name
from orchestrations.client.tagging import tag_changes
from orchestrations.errors import PayloadRejected
from orchestrations.limits import INSTANCE_ID_LENGTH, NAME_LENGTH, REASON_LENGTH, TAG_CHARACTERS, TAGS

KEPT_IN_THE_HISTORY = frozenset({Action.SUSPEND, Action.RESUME, Action.REWIND, Action.TERMINATE, Action.COMPLETE_TASK})
"""Acts whose history event has the reason, too."""


class JsonField(forms.CharField):
    """A JSON value as text; cleaned to SerializedJson, or None for nothing and for null."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", "Text goes in double quotes. Empty means no value.")
        widget = forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"})
        super().__init__(required=False, strip=False, widget=widget, **options)

    def clean(self, value: Any) -> SerializedJson | None:
        """The text as it will be stored."""
        text = super().clean(value)
        if not text.strip():
            return None
        try:
            checked = payloads.check_text(text, "the value")
        except PayloadRejected as rejected:
            raise forms.ValidationError(str(rejected)) from rejected
        return None if checked is None else SerializedJson(checked)


class ConfirmField(forms.CharField):
    """What is typed so that nothing is destroyed by a slip: its form says when, and no label calls it optional."""

    says_optional = False

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
        super().__init__(required=False, widget=widget, **options)


class ReasonForm(forms.Form):
    """An act with a reason that may be left out."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True}),
        help_text="Kept in the audit trail.",
    )

    def full_clean(self) -> None:
        """The focus goes to the reason where that alone is at fault, else to the summary of what is wrong.

        htmx and browsers give it to what has ``autofocus``.
        """
        super().full_clean()
        widget = self.fields["reason"].widget
        if self.needs_only_reason:
            widget.attrs |= {"autofocus": True, "data-focus": True}
        elif self.errors:
            widget.attrs.pop("autofocus", None)

    @property
    def needs_only_reason(self) -> bool:
        """Whether the reason is all that is wrong."""
        return list(self.errors) == ["reason"]


def say_where_reason_is_kept(form: forms.Form, action: Action) -> None:
    """Have the form say it, where it asks for one and the history keeps it, too."""
    if action in KEPT_IN_THE_HISTORY and "reason" in form.fields:
        form.fields["reason"].help_text = "Kept in the history and in the audit trail."


class FamilyForm(ReasonForm):
    """An act that can be extended to the live sub-orchestrations, where there are any."""

    def __init__(self, *args: Any, has_children: bool, label: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if has_children:
            self.fields["recursive"] = forms.BooleanField(label=label, required=False)


class RequiredReasonForm(ReasonForm):
    """An act that must be explained."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = True
        self.fields["reason"].error_messages["required"] = "Say why: whoever looks at this later will ask."


class ConfirmedForm(RequiredReasonForm):
    """An act that must be explained, and whose target must be typed so that it can't happen by a slip."""

    confirm = ConfirmField(label="Type the instance id", max_length=INSTANCE_ID_LENGTH, strip=False)
    wrong_id = "That is not the id of this instance."

    def __init__(self, *args: Any, typed_id: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.typed_id = typed_id

    def is_guarded(self, cleaned: Mapping[str, Any]) -> bool:
        """Whether what was chosen needs the id."""
        return True

    def clean(self) -> dict[str, Any]:
        """Compare what was typed with the id."""
        cleaned: dict[str, Any] = super().clean() or {}
        if "confirm" in self.fields and self.is_guarded(cleaned) and cleaned.get("confirm") != self.typed_id:
            self.add_error("confirm", self.wrong_id)
        return cleaned


class TerminateForm(ConfirmedForm):
    """Ends an instance, by default with everything below it: then its id must be typed."""

    recursive = forms.BooleanField(label="End its sub-orchestrations too", initial=True, required=False)
    field_order = ("reason", "recursive", "confirm")

    def __init__(self, *args: Any, has_children: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if has_children:
            self.fields["confirm"].label = "Type the instance id, to end the whole tree"
        else:
            del self.fields["confirm"]

    def is_guarded(self, cleaned: Mapping[str, Any]) -> bool:
        """Only a whole tree is."""
        return bool(cleaned.get("recursive"))


class PurgeForm(ConfirmedForm):
    """Deletes an instance, with its history."""

    recursive = forms.BooleanField(label="Purge its ended sub-orchestrations too", required=False)
    field_order = ("reason", "recursive", "confirm")


class RaiseEventForm(forms.Form):
    """An external event: a name and a JSON payload."""

    name = forms.CharField(
        label="Event name", max_length=NAME_LENGTH, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    payload = JsonField(label="Payload (JSON)")

    def clean_name(self) -> str:
        """A name that an event can have."""
        try:
            return check_event_name(self.cleaned_data["name"])
        except PayloadRejected as rejected:
            raise forms.ValidationError(str(rejected)) from rejected


class CompleteForm(RequiredReasonForm):
    """The result that an activity is given by hand."""

    result = JsonField(label="Result (JSON)", help_text="What the activity would have returned. Empty means None.")


class TagsForm(ReasonForm):
    """All tags of an instance, one a line."""

    tags = forms.CharField(
        required=False,
        strip=False,
        max_length=TAGS * (2 * TAG_CHARACTERS + 4),
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"}),
        help_text="One a line, as name=value. A line that is taken out removes the tag.",
    )
    field_order = ("tags", "reason")

    def __init__(self, *args: Any, present: Mapping[str, str], **kwargs: Any) -> None:
        initial = {"tags": "\n".join(f"{name}={value}" for name, value in sorted(present.items()))}
        super().__init__(*args, **{"initial": initial, **kwargs})
        self.present = present
        self.fields["reason"].widget.attrs.pop("autofocus", None)

    def clean_tags(self) -> dict[str, str | None]:
        """What changes: the value of each tag that is set, None for each that goes."""
        wanted = read_tags(self.cleaned_data["tags"])
        changes: dict[str, str | None] = {
            name: value for name, value in wanted.items() if self.present.get(name) != value
        }
        changes |= {name: None for name in self.present if name not in wanted}
        try:
            removed = [name for name, value in changes.items() if value is None]
            return tag_changes({name: value for name, value in changes.items() if value is not None}, removed)
        except PayloadRejected as rejected:
            raise forms.ValidationError("Nothing has changed." if not changes else str(rejected)) from rejected


def read_tags(text: str) -> dict[str, str]:
    """The tags of a text with one a line. Raises ValidationError, naming the line that is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    return dict(_tag(number, line) for number, line in enumerate(lines, 1))


def _tag(number: int, line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not (equals and name.strip()):
        raise forms.ValidationError(f"Line {number} is no tag. Write it as name=value.")
    return name.strip(), value.strip()
