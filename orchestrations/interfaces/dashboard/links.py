"""Addresses of the instances list with a filter, for the numbers of other pages: a number leads to what it counts."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from django.urls import reverse

from orchestrations.search.language import Query, write


def list_url(hub: str, query: Query) -> str:
    """The list with that filter; sub-orchestrations are listed too, as numbers count them."""
    return f"{reverse('dashboard:instances', args=[hub])}?{urlencode({'q': write(replace(query, children=True))})}"


def view_url(hub: str, query: str, sort: str) -> str:
    """The list as a saved view shows it."""
    given = urlencode({key: value for key, value in (("q", query), ("sort", sort)) if value})
    address = reverse("dashboard:instances", args=[hub])
    return f"{address}?{given}" if given else address
