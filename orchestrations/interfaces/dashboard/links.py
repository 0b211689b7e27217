"""Addresses of the instances list with a filter, for the numbers of other pages: a number leads to what it counts."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from django.urls import reverse

from orchestrations.search.language import Query, write


def list_url(hub: str, query: Query) -> str:
    """The list with that filter; sub-orchestrations are listed too, as numbers count them."""
    return f"{reverse('dashboard:instances', args=[hub])}?{urlencode({'q': write(replace(query, children=True))})}"
