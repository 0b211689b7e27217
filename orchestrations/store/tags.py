"""Changing instances' tags. What a worker commits meanwhile does not touch them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orchestrations.models import Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.store.locking import in_order
from orchestrations.store.tables import BATCH, Tables, chunks


def change(tables: Tables, pks: Collection[int], changes: Mapping[str, str | None], limit: int) -> set[int]:
    """See ``Store.change_tags``. Three statements for each batch of instances."""
    changed: set[int] = set()
    with tables.atomic():
        now = tables.now()
        for batch in chunks(sorted(pks), BATCH):
            rows = Instance.objects.using(tables.using).filter(ORCHESTRATION, hub=tables.hub, pk__in=batch)
            locked = in_order(rows)
            fits = []
            for row in rows.filter(pk__in=locked).only("tags").order_by("pk"):
                row.tags = _changed(row.tags, changes)
                row.last_updated_at = now
                if len(row.tags) <= limit:
                    fits.append(row)
            Instance.objects.using(tables.using).bulk_update(fits, ["tags", "last_updated_at"])
            changed |= {row.pk for row in fits}
    return changed


def _changed(tags: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    kept = {name: value for name, value in tags.items() if name not in changes}
    return kept | {name: value for name, value in changes.items() if value is not None}
