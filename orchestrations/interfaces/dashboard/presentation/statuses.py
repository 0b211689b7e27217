"""How a runtime status looks: its word, its icon and its colour class, always all three."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrations.core.status import RuntimeStatus
from orchestrations.search.language import Mark


@dataclass(frozen=True, slots=True)
class Badge:
    """``kind`` is the colour class without its prefix, ``icon`` a symbol of the sprite."""

    kind: str
    icon: str
    label: str


WAITING_FOR_HUMAN = Badge("waiting", "person", "Waiting for human")
BADGES = {
    RuntimeStatus.PENDING: Badge("pending", "clock", "Pending"),
    RuntimeStatus.RUNNING: Badge("running", "play", "Running"),
    RuntimeStatus.SUSPENDED: Badge("suspended", "pause", "Suspended"),
    RuntimeStatus.COMPLETED: Badge("completed", "check", "Completed"),
    RuntimeStatus.FAILED: Badge("failed", "alert", "Failed"),
    RuntimeStatus.TERMINATED: Badge("terminated", "octagon", "Terminated"),
    RuntimeStatus.CANCELED: Badge("canceled", "crossed", "Canceled"),
    RuntimeStatus.CONTINUED_AS_NEW: Badge("continued", "loop", "ContinuedAsNew"),
}

MARK_BADGES = {
    Mark.RETRYING: Badge("canceled", "loop", "Retrying"),
    Mark.STUCK: Badge("failed", "alert", "Stuck"),
    Mark.OVERDUE: Badge("terminated", "clock", "Overdue"),
    Mark.NO_WORKER: Badge("pending", "plug", "No worker"),
}
"""What stands beside a status."""


def badge(status: str, asks_person: bool = False) -> Badge:
    """The badge of a status; a running instance that asks a person says so instead."""
    if asks_person and status == RuntimeStatus.RUNNING:
        return WAITING_FOR_HUMAN
    return BADGES[RuntimeStatus(status)]
