"""Places in the history of an instance, from which a page or a stream goes on."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrations.errors import InvalidCursor
from orchestrations.models import Instance
from orchestrations.reading.paging import Cursor


@dataclass(frozen=True, slots=True)
class Place:
    """How far something has come in an instance's history; as text ``execution.sequence``."""

    execution: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.execution}.{self.sequence}"

    @classmethod
    def read(cls, text: str) -> Place:
        """The place of such a text. Raises ValueError."""
        execution, dot, sequence = text.partition(".")
        if not (dot and all(part.isascii() and part.isdigit() and len(part) < 10 for part in (execution, sequence))):
            raise ValueError(text)
        return cls(int(execution), int(sequence))

    @classmethod
    def of(cls, row: Instance) -> Place:
        """Where the instance is now."""
        return cls(row.execution, row.last_sequence)

    def token(self, row: Instance) -> str:
        """A signed text that leads to what follows, in the history of that instance alone."""
        return Cursor(row.pk, str(self), backwards=False).sign()

    @classmethod
    def continued(cls, token: str, row: Instance) -> Place:
        """The place of a ``token``. Raises InvalidCursor, also for that of another instance."""
        cursor = Cursor.read(token)
        if cursor.pk != row.pk or not isinstance(cursor.at, str):
            raise InvalidCursor
        try:
            return cls.read(cursor.at)
        except ValueError as error:  # a page of a list by a text
            raise InvalidCursor from error
