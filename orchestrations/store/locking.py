"""Row locks through the ORM: always in the order of the primary key, and only where the database has them."""

from __future__ import annotations

from typing import TypeVar

from django.db import connections
from django.db.models import Model, QuerySet

ModelT = TypeVar("ModelT", bound=Model)


def locked(rows: QuerySet[ModelT]) -> QuerySet[ModelT]:
    """These rows, locked against change and deletion; it waits for whoever has locked one of them."""
    return rows.select_for_update(no_key=connections[rows.db].features.has_select_for_no_key_update)


def in_order(rows: QuerySet[ModelT]) -> list[int]:
    """Lock these rows by ascending primary key, and return the keys.

    Whoever locks more than one row does it in this order, so that nobody waits for one who waits for him.
    """
    return list(locked(rows.order_by("pk")).values_list("pk", flat=True))


def skip_locked(rows: QuerySet[ModelT]) -> QuerySet[ModelT]:
    """These rows, locked, but none that another has locked; where nothing can be skipped it waits."""
    features = connections[rows.db].features
    return rows.select_for_update(
        skip_locked=features.has_select_for_update_skip_locked, no_key=features.has_select_for_no_key_update
    )
