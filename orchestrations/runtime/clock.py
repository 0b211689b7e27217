"""The database's clock, read now and then and carried on with the process's monotonic one."""

from __future__ import annotations

import time
from datetime import datetime, timedelta


class DatabaseClock:
    """What the database's clock says, without asking each time. Never goes back."""

    def __init__(self, now: datetime) -> None:
        self._base = now
        self._at = time.monotonic()
        self._latest = now

    def set(self, now: datetime) -> None:
        """Take over a fresh reading."""
        self._base, self._at = now, time.monotonic()

    def now(self) -> datetime:
        """The present moment by the database's clock, aware UTC."""
        elapsed = timedelta(seconds=time.monotonic() - self._at)
        self._latest = max(self._latest, self._base + elapsed)
        return self._latest
