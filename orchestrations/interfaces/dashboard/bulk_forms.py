"""What people type before they act on many instances: what the act needs, why, the word that guards what destroys."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.core import signing

from orchestrations.access.permissions import Action
from orchestrations.bulk.acts import ACTS, REASON_NEEDED, checked_parameters
from orchestrations.errors import PayloadRejected
from orchestrations.interfaces.dashboard.act_forms import (
    ConfirmField,
    JsonField,
    ReasonForm,
    read_tags,
    say_where_reason_is_kept,
)
from orchestrations.limits import IDEMPOTENCY_KEY_LENGTH, NAME_LENGTH

GUARDED = frozenset({Action.TERMINATE, Action.PURGE})
RECURSIVE = {
    Action.TERMINATE: "End their sub-orchestrations too",
    Action.SUSPEND: "Suspend their sub-orchestrations too",
    Action.RESUME: "Resume their sub-orchestrations too",
    Action.PURGE: "Purge their ended sub-orchestrations too",
}
SALT = "orchestrations.bulk"


class ManyForm(ReasonForm):
    """One act on several instances: what it is told, why, and the word that guards it.

    Of a valid form ``parameters`` are what ``acts.checked_parameters`` makes of it.
    """

    def __init__(self, data: Any = None, *, action: Action, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial=dict(initial or {}))
        self.action = action
        self.parameters: dict[str, Any] = {}
        self._add_parameters()
        if action in REASON_NEEDED:
            self.fields["reason"].required = True
            self.fields["reason"].error_messages["required"] = "Say why: whoever looks at these instances will ask."
        if action in GUARDED:
            self.fields["confirm"] = ConfirmField(label=f"Type {action.value}, to be sure")
        say_where_reason_is_kept(self, action)

    def _add_parameters(self) -> None:
        takes = ACTS[self.action].parameters
        if "recursive" in takes:
            self.fields["recursive"] = forms.BooleanField(
                label=RECURSIVE[self.action], required=False, initial=self.action is Action.TERMINATE
            )
        if "event_name" in takes:
            self.fields["event_name"] = forms.CharField(label="Event name", max_length=NAME_LENGTH)
            self.fields["event_data"] = JsonField(label="Payload (JSON)")
        if "tags" in takes:
            lines = forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"})
            self.fields["tags"] = forms.CharField(
                label="Tags to set", required=False, strip=False, widget=lines, help_text="One a line, as name=value."
            )
            self.fields["remove_tags"] = forms.CharField(
                label="Tags to remove", required=False, widget=lines, help_text="One name a line."
            )
        own = [name for name in self.fields if name not in ("reason", "token", "seen")]
        self.order_fields([*own, "reason"])
        typed = [name for name in own if not isinstance(self.fields[name], forms.BooleanField)]
        if typed and not self.is_bound:  # the page opens at what is typed first
            self.fields["reason"].widget.attrs.pop("autofocus", None)
            self.fields[typed[0]].widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        """What the act is told, as the job will keep it."""
        cleaned: dict[str, Any] = super().clean() or {}
        if "confirm" in self.fields and cleaned.get("confirm", "").strip().lower() != self.action.value:
            self.add_error("confirm", f"Type the word {self.action.value}.")
        if not self.errors:
            try:
                self.parameters = checked_parameters(self.action, **self._given(cleaned))
            except PayloadRejected as rejected:
                self.add_error(None, str(rejected))
        return cleaned

    def clean_tags(self) -> dict[str, str]:
        """The tags to set."""
        return read_tags(self.cleaned_data["tags"])

    def clean_remove_tags(self) -> list[str]:
        """The names of tags to remove."""
        return [line.strip() for line in self.cleaned_data["remove_tags"].splitlines() if line.strip()]

    def _given(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        names = ("recursive", "event_name", "event_data", "tags", "remove_tags")
        return {name: cleaned[name] for name in names if name in cleaned}


class BulkForm(ManyForm):
    """What a bulk job is made of. ``seen`` is when the preview was made: what is started later is left alone."""

    token = forms.CharField(max_length=IDEMPOTENCY_KEY_LENGTH, widget=forms.HiddenInput)
    seen = forms.CharField(max_length=200, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, action: Action, now: datetime) -> None:
        initial = {"token": uuid.uuid4().hex, "seen": signing.dumps(now.isoformat(), salt=SALT)}
        super().__init__(data, action=action, initial=initial)

    def clean_seen(self) -> datetime:
        """When the preview was made."""
        try:
            return datetime.fromisoformat(signing.loads(self.cleaned_data["seen"], salt=SALT))
        except signing.BadSignature as error:
            raise forms.ValidationError("Open the page again: this one has been altered.") from error
