"""Filters and the queries that stand for them."""

from __future__ import annotations

import pytest

from orchestrations.search.filters import filter_of, query_of
from orchestrations.search.language import parse, write
from tests import rows


@pytest.mark.parametrize(
    "text",
    [
        "",
        "children",
        "status:failed,running stuck",
        "name:bill id:order-*",
        "name:bill* id:order-7",
        "tag:team=b tag:owner=ada version:2 created:-7d",
        "parent:order-7",
        'error:"out of stock" fingerprint:abc created:-7d',
        "created:-24h completed>2026-02-01",
    ],
)
def test_a_filter_becomes_a_query_that_makes_it_again(text):
    where = filter_of(parse(text), rows.NOON)

    again = filter_of(parse(write(query_of(where))), rows.NOON)

    assert again == where
