"""History as tabs read it: a window of rows without their payloads, whatever the length of the whole."""

from __future__ import annotations

from django.db.models import QuerySet

from orchestrations.conf import get_config
from orchestrations.models import HistoryEvent, Instance

DIGITS = 9  # of a number in an address; more is no sequence


def events_of(instance: Instance, execution: int | None = None) -> QuerySet[HistoryEvent]:
    """The events of one execution, the present one by default, in order and without payloads."""
    rows = HistoryEvent.objects.using(get_config().database)
    rows = rows.filter(instance_id=instance.pk, execution=execution or instance.execution)
    return rows.defer("payload").order_by("sequence")


def number(text: str | None) -> int | None:
    """A number of an address; None for anything else."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= DIGITS else None
