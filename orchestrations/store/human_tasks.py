"""Questions to people, written with the episode that asks and closed with the one that ends the wait."""

from __future__ import annotations

from collections.abc import Collection

from orchestrations.models import HumanAudience, HumanComment, HumanFollowUp, HumanNotice, HumanTask, HumanVote
from orchestrations.store.tables import BATCH, Tables, chunks

BELONGINGS = (HumanAudience, HumanVote, HumanComment, HumanFollowUp, HumanNotice, HumanTask)
"""The tables with rows of an instance that has asked people."""


def forget(tables: Tables, pks: Collection[int]) -> None:
    """Delete the tasks of these instances with all that was said about them; the audit stays."""
    tasks = HumanTask.objects.using(tables.using)
    asking: list[int] = []
    for batch in chunks(pks, BATCH):
        asking += tasks.filter(instance_id__in=batch).values_list("instance_id", flat=True).distinct()
    if asking:
        for model in BELONGINGS:
            tables.delete(model, ("instance_id",), [(pk,) for pk in asking])
