"""What a checkpoint writes for others than its instance: messages to webhooks, and work that is given up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A message to a webhook, to be sent once the transition that it tells of is committed."""

    webhook_pk: int
    message_id: str
    event: str
    instance_pk: int
    instance_id: str
    execution: int
    body: str


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """Work that workers died of, for the table of dead letters; see the model."""

    kind: str
    instance_pk: int
    instance_id: str
    execution: int
    position: int
    name: str
    deaths: int
    error: str
    payload: str | None = None
