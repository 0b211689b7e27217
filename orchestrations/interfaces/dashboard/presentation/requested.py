"""An act that somebody asked for, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Requested:
    """A person's act: the event type, who asked, why, and when."""

    type: str
    by: str
    reason: str
    at: datetime

    @property
    def by_whom(self) -> str:
        """`` by dana``, or nothing where the act has no name to it."""
        return f" by {self.by}" if self.by else ""

    @property
    def because(self) -> str:
        """``: vendor outage``, or nothing where no reason was given."""
        return f": {self.reason}" if self.reason else ""
