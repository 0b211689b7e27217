"""Dead letters of a task hub, read: by pages, and one by one. Putting them back is the client's."""

from __future__ import annotations

from orchestrations.conf import get_config
from orchestrations.limits import LIST_PAGE
from orchestrations.models import DeadLetter
from orchestrations.reading.paging import Page, keyset_page


def page(hub: str, *, put_back: bool, cursor: str | None = None, limit: int = LIST_PAGE) -> Page[DeadLetter]:
    """A page of those that wait, or of those that were put back, the newest first. Raises InvalidCursor."""
    rows = DeadLetter.objects.using(get_config().database).filter(hub=hub, put_back_at__isnull=not put_back)
    return keyset_page(rows.defer("payload"), None, cursor=cursor, limit=limit)


def find(hub: str, pk: int) -> DeadLetter | None:
    """That one; None where the hub has none of that number."""
    return DeadLetter.objects.using(get_config().database).filter(hub=hub, pk=pk).first()
