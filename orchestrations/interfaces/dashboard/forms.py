"""What people type: reasons, events and answers. Nothing here is trusted before it is valid."""

from __future__ import annotations

from typing import Any

from django import forms

from orchestrations.authoring import payloads
from orchestrations.client import SerializedJson
from orchestrations.errors import PayloadRejected
from orchestrations.limits import INSTANCE_ID_LENGTH, NAME_LENGTH, REASON_LENGTH


class ReasonForm(forms.Form):
    """An act with a reason that may be left out."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True}),
        help_text="Kept in the history and in the audit trail.",
    )

    def full_clean(self) -> None:
        """With errors the focus belongs to their summary: htmx gives it to what has ``autofocus`` after a swap."""
        super().full_clean()
        if self.errors:
            self.fields["reason"].widget.attrs.pop("autofocus", None)


class RequiredReasonForm(ReasonForm):
    """An act that must be explained."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = True
        self.fields["reason"].error_messages["required"] = "Say why: whoever looks at this instance later will ask."


class TerminateForm(RequiredReasonForm):
    """Ends an instance, by default with everything below it."""

    recursive = forms.BooleanField(label="End its sub-orchestrations too", initial=True, required=False)


class PurgeForm(RequiredReasonForm):
    """Deletes an instance, whose id must be typed so that it can't happen by a slip."""

    confirm = forms.CharField(label="Type the instance id", max_length=INSTANCE_ID_LENGTH, strip=False)
    recursive = forms.BooleanField(label="Purge its ended sub-orchestrations too", required=False)

    def __init__(self, *args: Any, instance_id: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance_id = instance_id
        self.fields["confirm"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean_confirm(self) -> str:
        """The id, which must be the instance's."""
        typed: str = self.cleaned_data["confirm"]
        if typed != self.instance_id:
            raise forms.ValidationError("That is not the id of this instance.")
        return typed


class RaiseEventForm(forms.Form):
    """An external event: a name and a JSON payload."""

    name = forms.CharField(
        label="Event name", max_length=NAME_LENGTH, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    payload = forms.CharField(
        label="Payload (JSON)",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"}),
        help_text="Text goes in double quotes. Empty means no payload.",
    )

    def clean_payload(self) -> SerializedJson | None:
        """The JSON text as it will be stored, or None for none."""
        text: str = self.cleaned_data["payload"]
        if not text.strip():
            return None
        try:
            checked = payloads.check_text(text, "the payload")
        except PayloadRejected as rejected:
            raise forms.ValidationError(str(rejected)) from rejected
        return None if checked is None else SerializedJson(checked)
