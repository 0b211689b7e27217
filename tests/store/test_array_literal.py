"""Arrays as PostgreSQL reads them."""

from __future__ import annotations

from datetime import UTC

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrations.store.postgresql import array_literal
from orchestrations.store.sql import INSTANT, NUMBER, REAL, TEXT

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has arrays"),
]

everywhere = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def read_back(kind, values):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM unnest(%s::{kind}[])", [array_literal(kind, values)])  # noqa: S608 -- a constant
        return [value for (value,) in cursor.fetchall()]


@everywhere
@given(st.lists(st.none() | texts | st.sampled_from(["NULL", "", "{}", '"', "\\", "a,b", '{"a":"\\""}', " x "])))
def test_texts_come_back_as_they_were(db, values):
    assert read_back(TEXT, values) == values


@everywhere
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_numbers_come_back_as_they_were(db, values):
    assert read_back(NUMBER, values) == values


@everywhere
@given(st.lists(st.none() | st.floats(allow_nan=False)))
def test_reals_come_back_as_they_were(db, values):
    assert read_back(REAL, values) == values


@everywhere
@given(st.lists(st.none() | st.datetimes(timezones=st.just(UTC))))
def test_times_come_back_as_they_were(db, values):
    assert read_back(INSTANT, values) == values
