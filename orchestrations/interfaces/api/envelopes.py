"""Opening the body of a request: its members by name, payloads unread, and nothing built of what is refused."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec
from rest_framework import serializers

from orchestrations.client import SerializedJson
from orchestrations.interfaces.api.serializers import Asked, Payload
from orchestrations.limits import MEMBER_BYTES, NAME_LENGTH

MISSING = msgspec.Raw(b"")
UNKNOWN_MEMBER = re.compile(r" unknown field `(.*)`(?: - at `\$`)?\Z", re.DOTALL)


def members(body: SerializedJson | None, kind: type[Asked]) -> dict[str, Any]:
    """The members of a JSON object, for a serializer to check; no body is an empty object.

    A payload stays text, which is stored as it came. Raises ValidationError for anything but an object, for the first
    member that nothing knows, and for a member that is no payload and longer than MEMBER_BYTES.
    """
    fields: dict[str, Any] = dict(kind().fields.items())
    if body is None:
        return {}
    try:
        envelope = _decoder(kind, tuple(fields)).decode(body.text)
    except msgspec.ValidationError as error:
        if unknown := UNKNOWN_MEMBER.search(str(error)):
            raise serializers.ValidationError(kind().unknown([unknown[1][:NAME_LENGTH]])) from error
        raise serializers.ValidationError("Send a JSON object.") from error
    sent = {name: raw for name in fields if (raw := getattr(envelope, name)) is not MISSING}
    return {name: _value(name, raw, is_payload=isinstance(fields[name], Payload)) for name, raw in sent.items()}


def member(body: SerializedJson | None, name: str) -> Any:
    """One member of a JSON object, whatever else there is; None where there is none."""
    try:
        envelope = _decoder(None, (name,)).decode("{}" if body is None else body.text)
    except msgspec.ValidationError:
        return None
    raw = getattr(envelope, name)
    return None if raw is MISSING else _value(name, raw, is_payload=False)


@cache
def _decoder(kind: type[Asked] | None, names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Stops at the first member without a name here, so that a million of them cost nothing."""
    struct = msgspec.defstruct(
        "Envelope", [(name, msgspec.Raw, MISSING) for name in names], forbid_unknown_fields=kind is not None
    )
    return msgspec.json.Decoder(struct)


def _value(name: str, raw: msgspec.Raw, *, is_payload: bool) -> Any:
    text = bytes(raw)
    if is_payload:
        return None if text == b"null" else SerializedJson(text.decode())
    if len(text) > MEMBER_BYTES:
        raise serializers.ValidationError({name: [f"This is longer than {MEMBER_BYTES:,} bytes."]})
    return json.loads(text)
