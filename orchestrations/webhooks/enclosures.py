"""Inputs and outputs that go along with a message, where its webhook asks for them and they can still be had."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrations.core.lifecycle import LifecycleEvent
from orchestrations.errors import PayloadUnavailable
from orchestrations.limits import WEBHOOK_PAYLOAD_BYTES
from orchestrations.models import Instance, WebhookDelivery

LEFT_OUT = "left_out"


def with_payloads(delivery: WebhookDelivery, using: str) -> str:
    """The message with the instance's input, and its output once it has ended.

    ``left_out`` names what the message lacks: the instance is gone, or another execution has begun, or the payload is
    too large or can't be read.
    """
    message: dict[str, Any] = msgspec.json.decode(delivery.body)
    facts = message["data"]
    rows = Instance.objects.using(using).filter(pk=delivery.instance_pk, execution=delivery.execution)
    row = rows.only("input", "output").first()
    names = ["input", "output"] if delivery.event == LifecycleEvent.COMPLETED else ["input"]
    for name in names:
        text = _text(row, name)
        if text is None:
            facts.setdefault(LEFT_OUT, []).append(name)
        else:
            facts[name] = msgspec.Raw(text.encode())
    return msgspec.json.encode(message).decode()


def _text(row: Instance | None, name: str) -> str | None:
    """The payload as JSON text; None where there is none to be had."""
    if row is None:
        return None
    try:
        text: str | None = getattr(row, name)
    except PayloadUnavailable:
        return None
    text = "null" if text is None else text
    return text if len(text.encode()) <= WEBHOOK_PAYLOAD_BYTES else None
