"""The route that counts instances. An instance may be called ``count``: only ``groupBy`` makes a request a count."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpResponse

from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.problems import bad_argument
from orchestrations.interfaces.management_api.reading import instance_filter
from orchestrations.interfaces.management_api.rendering import json_response
from orchestrations.interfaces.management_api.shapes import Count
from orchestrations.reading import counts
from orchestrations.reading.paging import CappedCount

TAG = "tag:"


def count(call: Call) -> HttpResponse:
    """How many instances a filter lets through, by ``groupBy``: ``status``, ``name``, ``version`` or ``tag:NAME``.

    Each number is counted to a cap.
    """
    hub, where, group = call.client.hub, instance_filter(call), call.query.text("groupBy")
    found: Iterable[tuple[str | None, CappedCount]]
    match group.casefold():
        case "status":
            each = counts.status_counts(hub, where)
            found = [(status.value, each[status]) for status in where.statuses or each]
        case "name":
            found = counts.name_counts(hub, where).items()
        case "version":
            found = counts.version_counts(hub, where).items()
        case word if word.startswith(TAG) and word != TAG:
            found = counts.tag_counts(hub, where, group[len(TAG) :]).items()
        case _:
            raise bad_argument(f"{group!r:.60} is nothing to count by. Use status, name, version, or tag: and a name.")
    return json_response([Count(value, number.value, number.is_capped) for value, number in found])
