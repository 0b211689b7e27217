"""What a worker and the process that runs an activity for it say to each other: one line of JSON for each message."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrations.store.contract import ClaimedActivity


class Run(msgspec.Struct, tag="run"):
    """Run an activity. ``databases`` has the name of the database that the worker uses under each alias."""

    work: ClaimedActivity
    hub: str
    module: str
    qualified_name: str
    databases: dict[str, str]


class Cancelled(msgspec.Struct, tag="cancelled"):
    """Nobody wants the result of what runs any more."""


class Heard(msgspec.Struct, tag="heard"):
    """The activity sent a heartbeat; ``details`` are JSON text."""

    details: str | None


class Returned(msgspec.Struct, tag="returned"):
    """It returned; ``output`` is JSON text."""

    output: str | None


class Deferred(msgspec.Struct, tag="deferred"):
    """It left its completion to somebody outside."""

    timeout_seconds: float | None


class Failed(msgspec.Struct, tag="failed"):
    """It raised; ``failure`` are FailureDetails in their stored form."""

    failure: dict[str, Any]


Order = Run | Cancelled
Answer = Heard | Returned | Deferred | Failed

read_order = msgspec.json.Decoder(Order).decode
read_answer = msgspec.json.Decoder(Answer).decode


def line(message: Order | Answer) -> bytes:
    """The message as a line; JSON text holds no line break outside escapes."""
    return msgspec.json.encode(message) + b"\n"
