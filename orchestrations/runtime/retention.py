"""Retention: ended instances are deleted once they have been kept long enough. Off unless the site sets it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrations.conf import DurableConfig, get_config
from orchestrations.runtime.exclusive_chores import NEXT, ExclusiveChore
from orchestrations.store.contract import Store
from orchestrations.store.upkeep_contract import EndedInstance, Place

logger = logging.getLogger("orchestrations.runtime")

CHORE = "retention"
BATCH = 500  # instances looked at in one go of each walk
PAUSE = timedelta(seconds=60)  # between two looks when there is nothing to delete


@dataclass(frozen=True, slots=True)
class Walk:
    """Instances that are looked at one after the other: those with a status, or those of an orchestrator."""

    status: str = ""
    name: str = ""


class Rules:
    """How long instances are kept, by their status and, where their orchestrator has rules of its own, by these."""

    def __init__(self, config: DurableConfig) -> None:
        self._general = config.retention or {}
        self._own = config.retention_by_orchestrator or {}

    def period(self, name: str, status: str) -> timedelta | None:
        """How long an instance is kept after its end; None for ever."""
        own = self._own.get(name, {})
        return own[status] if status in own else self._general.get(status)

    def walks(self) -> list[tuple[Walk, timedelta]]:
        """What has to be looked at, with the age from which on something of it may go.

        An orchestrator with rules of its own has a walk of its own, so that short-lived instances need not be looked
        for among all those of their status. What the rules keep for ever needs none.
        """
        by_status = [(Walk(status=status), period) for status, period in self._general.items()]
        shortest = {
            name: min((period for period in periods.values() if period is not None), default=None)
            for name, periods in self._own.items()
        }
        return by_status + [(Walk(name=name), period) for name, period in shortest.items() if period is not None]


class Retention(ExclusiveChore):
    """Deletes a small batch now and then."""

    name = CHORE

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._rules = Rules(get_config())
        self._behind: dict[Walk, Place] = {}  # what was looked at last

    @property
    def is_wanted(self) -> bool:
        """Whether anything is ever deleted."""
        return bool(self._rules.walks())

    def work(self) -> tuple[int, timedelta]:
        """Delete what one look at each walk finds."""
        now = self._store.now()
        purged, has_more = 0, False
        for walk, age in self._rules.walks():
            found = self._store.look_at_ended(
                now - age, self._behind.get(walk), BATCH, status=walk.status, name=walk.name
            )
            purged += self._store.purge([one.pk for one in found if self._is_expired(one, now)])
            if len(found) == BATCH:
                has_more = True
                self._behind[walk] = found[-1].place
            else:
                self._behind.pop(walk, None)
        if purged:
            logger.info("Retention has deleted %d instances.", purged)
        return purged, NEXT if has_more else PAUSE

    def _is_expired(self, one: EndedInstance, now: datetime) -> bool:
        period = self._rules.period(one.name, one.status)
        if period is None or one.completed_at is None or one.has_live_parent:
            return False
        return one.completed_at < now - period
