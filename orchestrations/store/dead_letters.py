"""Dead letters: written once for each piece of work that is given up. Rare, so plain ORM on every database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from orchestrations.models import DeadLetter
from orchestrations.store import rows
from orchestrations.store.outbox_contract import NewDeadLetter
from orchestrations.store.tables import Tables


def record(tables: Tables, dead: Sequence[NewDeadLetter]) -> None:
    """Write them; one that is there already, because its worker died before it was heard of, stays as it is."""
    if dead:
        given = [
            dict(zip(rows.DEAD_LETTER_COLUMNS, rows.dead_letter_row(tables.hub, one), strict=True)) for one in dead
        ]
        DeadLetter.objects.using(tables.using).bulk_create([DeadLetter(**one) for one in given], ignore_conflicts=True)


def forget(tables: Tables, age: timedelta) -> int:
    """Delete those that are older; returns how many went."""
    old = DeadLetter.objects.using(tables.using).filter(hub=tables.hub, died_at__lt=tables.now() - age)
    return old.delete()[0]
