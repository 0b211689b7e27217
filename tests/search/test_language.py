"""The language of the query box: what it says, and how it complains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrations.core.status import RuntimeStatus
from orchestrations.search.language import Mark, Query, QueryError, Text, parse, write
from orchestrations.search.moments import Ago, Span

BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, query",
    [
        ("", Query()),
        ("status:failed,suspended", Query(statuses=(RuntimeStatus.SUSPENDED, RuntimeStatus.FAILED))),
        ("STATUS:Failed", Query(statuses=(RuntimeStatus.FAILED,))),
        ("name:Order*", Query(name=Text("Order", is_prefix=True))),
        ("name:order_flow AND stuck", Query(name=Text("order_flow"), marks=(Mark.STUCK,))),
        ('id:"a b"*', Query(id=Text("a b", is_prefix=True))),
        ('id:"a*"', Query(id=Text("a*"))),
        ("id:http://example.com/7", Query(id=Text("http://example.com/7"))),
        ("tag:region=eu tag:tier=gold", Query(tags=(("region", "eu"), ("tier", "gold")))),
        ('tag:"region=north, east"', Query(tags=(("region", "north, east"),))),
        ('version:"" created:-7d', Query(version="", created=Span(Ago(timedelta(days=7))))),
        (r'error:"said \"no\"" created:-24h', Query(error='said "no"', created=Span(Ago(timedelta(hours=24))))),
        ("parent:ord-7", Query(parent="ord-7")),
        ("fingerprint:5f1d", Query(fingerprint="5f1d")),
        ("waiting:human retrying", Query(marks=(Mark.WAITING_FOR_HUMAN, Mark.RETRYING))),
        ("overdue no-worker children", Query(marks=(Mark.OVERDUE, Mark.NO_WORKER), children=True)),
        ("created>2026-11-01", Query(created=Span(DAY))),
        ("created>=2026-11-01T00:00Z", Query(created=Span(DAY))),
        ("created<2026-11-01", Query(created=Span(None, DAY))),
        ("created<=2026-11-01", Query(created=Span(None, DAY + timedelta(days=1)))),
        ("created:2026-11-01", Query(created=Span(DAY, DAY + timedelta(days=1)))),
        ("created:2026-11-01..2026-11-03", Query(created=Span(DAY, DAY + timedelta(days=3)))),
        ("created:-2d created<-1d", Query(created=Span(Ago(timedelta(days=2)), Ago(timedelta(days=1))))),
        ("completed>2026-11-01T01:00+01:00", Query(completed=Span(DAY))),
    ],
)
def test_it_says_what_to_show(text, query):
    assert parse(text) == query
    assert parse(write(query)) == query


@pytest.mark.parametrize(
    "text, position, reason",
    [
        ("name:Foo AND", 10, "AND needs a term after it"),
        ("AND name:Foo", 1, "AND needs a term before it"),
        ("name:Foo OR stuck", 10, "separate statuses with commas"),
        ("stat:failed", 1, "stat is no key. Did you mean status?"),
        ("name:a sleepy", 8, "sleepy is neither a key nor a mark"),
        ("stuk", 1, "Did you mean stuck? To find ids that begin with it, write id:stuk*"),
        ("status:failed,sleeping", 15, "sleeping is no status"),
        ("status>failed", 1, "status has no order"),
        ("status:", 1, "status needs a value"),
        ("status:failed status:running", 15, "separate the statuses with commas"),
        ("name:a name:b", 8, "name is there twice"),
        ("name:a,b", 8, "name takes one value"),
        ('name:"Foo', 6, "not closed"),
        ('name:"Foo"bar', 11, "A space is missing"),
        ("version:1.* created:-7d", 9, "version takes no *"),
        ("tag:region", 1, "write tag:region=eu"),
        ("tag:a=1 tag:a=2", 9, "The tag a is there twice"),
        ("created:yesterday", 9, "yesterday is no time. Write 2026-11-01"),
        ("created>2026-02-30", 9, "is no time"),
        ("created>2026-11-02 created<2026-11-01", 20, "the end is not after the beginning"),
        ("created>2026-11-01 created:-7d", 20, "that bound twice"),
        ("waiting:godot", 1, "waiting:human finds"),
        ('error:"no funds"', 1, "needs a time range: add created:-7d"),
        ("version:2 created<2026-11-01", 1, "needs a time range"),
        ("(stuck)", 1, "has no meaning here"),
        ("x" * 3000, 2001, "at most 2,000 characters"),
    ],
)
def test_it_names_what_is_wrong_and_where(text, position, reason):
    with pytest.raises(QueryError) as refused:
        parse(text)

    assert str(refused.value).startswith(f"At position {position}: ")
    assert reason in refused.value.reason


def test_times_without_a_zone_are_the_readers():
    assert parse("created>2026-11-01", BERLIN).created.start == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert write(Query(created=Span(DAY)), BERLIN) == "created>2026-11-01T01:00"
    assert write(Query(created=Span(DAY))) == "created>2026-11-01T00:00Z"


def test_an_hour_that_occurs_twice_is_written_with_its_zone():
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)

    assert write(Query(created=Span(second)), BERLIN) == "created>2026-10-25T02:30:00+01:00"
    assert parse("created>2026-10-25T02:30:00+01:00", BERLIN).created.start == second


texts = st.text(min_size=1, max_size=20)
patterns = st.none() | st.builds(Text, texts, st.booleans())
instants = st.datetimes(datetime(1990, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
agos = st.builds(Ago, st.integers(1, 9999).map(lambda hours: timedelta(hours=hours)))
spans = st.builds(Span, st.none() | instants, st.none() | instants) | st.builds(Span, st.none() | agos)
queries = st.builds(
    Query,
    statuses=st.sets(st.sampled_from(RuntimeStatus)).map(lambda chosen: tuple(s for s in RuntimeStatus if s in chosen)),
    marks=st.sets(st.sampled_from(Mark)).map(lambda chosen: tuple(m for m in Mark if m in chosen)),
    name=patterns,
    id=st.builds(Text, texts, st.booleans()),
    tags=st.dictionaries(texts.filter(lambda name: "=" not in name), st.text(max_size=9), max_size=3).map(
        lambda tags: tuple(sorted(tags.items()))
    ),
    version=st.none() | st.text(max_size=9),
    parent=st.none() | texts,
    error=st.none() | texts,
    fingerprint=st.none() | texts,
    created=spans.filter(lambda span: not span.is_empty),
    completed=spans.filter(lambda span: not span.is_empty),
    children=st.booleans(),
)
zones = st.sampled_from(
    [None, UTC, BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia"), timezone(timedelta(minutes=-90))]
)


@given(queries, zones)
def test_what_is_written_reads_as_the_same_query(query, zone):
    assert parse(write(query, zone), zone or UTC) == query


@given(
    st.text()
    | st.lists(st.sampled_from(['"', "name:", "created>", "-1d", " ", "AND", ",", "*", "x", "tag:a=b"])).map("".join)
)
def test_any_text_is_read_or_refused_with_its_place(text):
    try:
        query = parse(text)
    except QueryError as refused:
        assert 0 <= refused.position <= len(text)
        assert refused.end <= max(len(text), 1)
    else:
        assert parse(write(query)) == query
