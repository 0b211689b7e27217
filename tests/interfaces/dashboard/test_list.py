"""The instances list: what it shows, what it costs, and how it keeps itself up to date."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrations.interfaces.dashboard import counting, list_page
from orchestrations.interfaces.dashboard.bounded_reading import TookTooLong, bounded
from orchestrations.models import ActivityWorkItem, Grant, Instance, Timer, WorkerLease
from tests import rows
from tests.reading_statements import reads

LIST = "/hubs/default/instances/"


def ids(text: str) -> list[str]:
    return re.findall(r'class="mono id"[^>]*><a href="[^"]*" data-row>([^<]+)</a>', text)


def tick_url(text: str) -> str:
    url = re.search(r'data-tick="([^"]+)"', text)[1].replace("&amp;", "&")
    return f"{url}&v={version(text)}"


def version(text: str) -> str:
    return ",".join(re.findall(r'data-watch="([^"]+)"', text))


def older(text: str) -> str:
    return re.search(r'href="([^"]+)" rel="next"', text)[1].replace("&amp;", "&")


def newer_url(text: str) -> str:
    return re.search(r'hx-get="([^"]+/newer/[^"]+)"', text)[1].replace("&amp;", "&")


def rows_url(text: str) -> str:
    return re.search(r'hx-get="([^"]+/rows/[^"]+)"', text)[1].replace("&amp;", "&")


def test_it_shows_the_newest_first_and_roots_only(viewer):
    parent = rows.instance("older", minutes=1)
    rows.instance("newer", minutes=2)
    rows.instance("child", minutes=3, parent=parent)

    assert ids(viewer.get(LIST).text) == ["newer", "older"]
    assert ids(viewer.get(LIST, {"children": "on"}).text) == ["child", "newer", "older"]


@pytest.mark.parametrize(
    "query, expected",
    [
        ({"status": "Failed"}, ["c-1"]),
        ({"name": "bill"}, ["b-1"]),
        ({"id": "b-"}, ["b-1"]),
        ({"id": "b-", "status": "Failed"}, []),
        ({"status": "waiting"}, ["a-1"]),
    ],
)
def test_it_filters(viewer, query, expected):
    rows.wait(rows.instance("a-1"), title="May I?")
    rows.instance("b-1", name="bill")
    rows.instance("c-1", status="Failed", error="ValueError: no")

    assert ids(viewer.get(LIST, query).text) == expected


def test_a_status_that_does_not_exist_is_refused_in_words(viewer):
    response = viewer.get(LIST, {"status": "Sleeping"})

    assert response.status_code == 422
    assert "At position 8:" in response.text
    assert "Sleeping is no status" in response.text


def test_it_goes_to_older_and_newer_pages(viewer):
    for number in range(120):
        rows.instance(f"i-{number:03}", minutes=number)

    first = viewer.get(LIST).text
    second = viewer.get(older(first)).text
    newer = re.search(r'href="([^"]+)" rel="prev"', second)[1].replace("&amp;", "&")

    assert ids(first) == [f"i-{number:03}" for number in range(119, 69, -1)]
    assert ids(second) == [f"i-{number:03}" for number in range(69, 19, -1)]
    assert ids(viewer.get(newer).text) == ids(first)


def statements(asked: CaptureQueriesContext) -> list[str]:
    """What was asked of the database, but for the bounds of transactions."""
    return [query["sql"] for query in asked.captured_queries if "SAVEPOINT" not in query["sql"]]


@pytest.mark.parametrize(
    "query", ["", "status:running waiting:human", "name:e* tag:a=b", "retrying stuck overdue no-worker"]
)
@pytest.mark.parametrize("count", [1, 50])
def test_it_costs_the_same_few_queries_for_one_row_and_for_fifty(viewer, count, query):
    for number in range(count):
        rows.wait(rows.instance(minutes=number), title="May I?")

    with CaptureQueriesContext(connection) as asked:
        viewer.get(LIST, {"q": query})

    assert len(statements(asked)) <= 6, statements(asked)


def test_it_reads_no_payloads_and_skips_no_rows(viewer):
    for number in range(120):
        rows.instance(input='"canary"', output='"canary"', status="Completed", minutes=number)

    with CaptureQueriesContext(connection) as asked:
        first = viewer.get(LIST).text
        viewer.get(older(first))

    for statement in statements(asked):
        assert '"durable_instance"."input"' not in statement
        assert "OFFSET" not in statement


def test_why_is_said_in_a_few_words(viewer):
    rows.instance("a", status="Failed", error="ValueError: amount must be positive")
    rows.instance("b", waiting_for="activity charge, attempt 2 of 5, next try 2026-03-01T12:30:00+00:00")
    rows.instance("c", status="Terminated", output='"duplicate run"')

    text = viewer.get(LIST).text

    assert "ValueError: amount must be positive" in text
    assert "next try 2026-03-01 12:30:00" in text
    assert ">duplicate run</span>" in text


def test_a_tick_says_nothing_while_nothing_changes(viewer):
    rows.instance("one")
    page = viewer.get(LIST).text

    assert viewer.get(tick_url(page)).status_code == 204


def test_a_tick_names_what_to_fetch_when_a_row_changes(viewer):
    instance = rows.instance("one")
    page = viewer.get(LIST).text
    Instance.objects.filter(pk=instance.pk).update(status="Completed", last_updated_at=rows.NOON.replace(hour=13))

    response = viewer.get(tick_url(page))

    assert response.status_code == 200
    assert response["HX-Trigger"] == '{"dash:instances": {}}'


def test_rows_are_patched_where_they_stand_and_new_ones_only_counted(viewer):
    changed = rows.instance("one", minutes=1)
    rows.instance("two", minutes=2)
    page = viewer.get(LIST).text
    Instance.objects.filter(pk=changed.pk).update(status="Completed")
    rows.instance("three", minutes=3)

    again = viewer.get(rows_url(page)).text
    news = viewer.get(newer_url(page)).text

    assert ids(again) == ["two", "one"]
    assert "Completed" in again
    assert "Show 1 new instance<" in news
    assert "<tr" not in news
    assert viewer.get(f"{tick_url(again)},{version(news)}").status_code == 204


def test_those_who_look_on_share_what_is_new_and_no_more_than_they_may_see(viewer, sign_in):
    narrow = sign_in("approver")
    Grant.objects.create(user_id=narrow.session["_auth_user_id"], actions=["view"], names="bill_*")
    rows.instance("bill", minutes=1, name="bill_a")
    pages = {browser: browser.get(LIST).text for browser in (viewer, narrow)}
    rows.instance("order", minutes=2, name="order")
    rows.instance("later", minutes=3, name="bill_b")

    first = viewer.get(newer_url(pages[viewer])).text
    with CaptureQueriesContext(connection) as asked:
        again = viewer.get(newer_url(pages[viewer])).text
        asked_for = reads(asked)
    theirs = narrow.get(newer_url(pages[narrow])).text

    assert "Show 2 new instances<" in first
    assert again == first
    assert len(asked_for) == 4, asked_for  # session, person, what they hold, the hub's newest key
    assert "Show 1 new instance<" in theirs
    assert "<strong>3</strong>" in first
    assert "<strong>3</strong>" not in theirs

    rows.instance("last", minutes=4, name="order")
    assert "Show 3 new instances<" in viewer.get(newer_url(pages[viewer])).text
    assert "Show 1 new instance<" in narrow.get(newer_url(pages[narrow])).text


def test_a_row_that_stops_matching_stays_and_says_so(viewer):
    instance = rows.instance("one")
    page = viewer.get(LIST, {"status": "Running"}).text
    Instance.objects.filter(pk=instance.pk).update(status="Completed")

    again = viewer.get(rows_url(page)).text

    assert ids(again) == ["one"]
    assert "No longer matches." in again


def test_an_older_page_counts_no_new_instances(viewer):
    for number in range(60):
        rows.instance(minutes=number)
    page = viewer.get(older(viewer.get(LIST).text)).text
    rows.instance(minutes=90)

    assert viewer.get(tick_url(page)).status_code == 204


def test_empty_lists_say_which_and_what_next(viewer):
    assert "No instances yet" in viewer.get(LIST).text
    filtered = viewer.get(LIST, {"status": "Failed"}).text
    assert "No instance matches" in filtered
    assert "Clear the filter" in filtered


def test_going_to_an_id_opens_it_and_to_a_beginning_lists(viewer):
    rows.instance("order 7&co")

    assert viewer.get("/hubs/default/go/", {"id": "order 7&co"})["Location"] == "/hubs/default/i/order%207&co/"
    assert viewer.get("/hubs/default/go/", {"id": "order"})["Location"] == f"{LIST}?q=id%3Aorder%2A"


def test_htmx_gets_the_results_alone_and_going_back_the_whole_page(viewer):
    part = viewer.get(LIST, headers={"HX-Request": "true"})
    back = viewer.get(LIST, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})

    assert "<html" not in part.text
    assert "<html" in back.text
    assert "HX-Request" in part["Vary"]


def test_a_grant_shows_the_instances_of_its_names_alone(approver):
    for name in ("bill_a", "bill_b", "order"):
        rows.instance(f"{name}-1", name=name)
    Grant.objects.create(user_id=approver.session["_auth_user_id"], actions=["view"], names="bill_*")
    page = approver.get(LIST).text

    assert ids(page) == ["bill_b-1", "bill_a-1"]
    assert ids(approver.get(LIST, {"q": "name:order"}).text) == []
    assert "<strong>2</strong>" in page
    assert 'value="order"' not in approver.get(f"{LIST}names/").text
    assert 'value="order-1"' not in approver.get(f"{LIST}suggest/", {"id": "o"}).text
    assert approver.get("/hubs/default/go/", {"id": "order-1"})["Location"].startswith(LIST)
    foreign = Instance.objects.get(name="order").pk
    assert ids(approver.get(re.sub("ids=[^&]*", f"ids={foreign}", rows_url(page))).text) == []


def test_the_last_page_costs_what_the_second_does_and_no_row_is_missed(viewer):
    call_command("durable", "fill", "--instances", "1030")
    address, seen, costs = "/hubs/trial/instances/?q=children", [], []
    while address:
        with CaptureQueriesContext(connection) as asked:
            page = viewer.get(address).text
        seen += ids(page)
        costs.append(len(statements(asked)))
        assert not [statement for statement in statements(asked) if "OFFSET" in statement]
        address = older(page) if 'rel="next"' in page else ""

    assert len(set(seen)) == len(seen) == 1_030
    assert len(costs) == 21
    assert max(costs[1:]) == min(costs[1:])


def test_what_takes_too_long_says_so_and_offers_less(viewer, monkeypatch):
    rows.instance("one")
    monkeypatch.setattr(list_page, "bounded", took_too_long)

    refused = viewer.get(LIST, {"q": "tag:region=eu"})

    assert refused.status_code == 422
    assert "The list took too long" in refused.text
    assert "?q=tag%3Aregion%3Deu%20created%3A-24h" in refused.text


def test_a_count_that_takes_too_long_leaves_the_rows(viewer, monkeypatch):
    for number in range(60):
        rows.instance(minutes=number)
    monkeypatch.setattr(counting, "bounded", took_too_long)

    page = viewer.get(LIST).text

    assert len(ids(page)) == 50
    assert "Count not available" in page


@contextmanager
def took_too_long():
    raise TookTooLong("The database did not answer in time.")
    yield


def test_a_statement_is_ended_in_time_and_the_connection_stays_of_use(db):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e9) SELECT max(i) FROM n"

    with pytest.raises(TookTooLong), bounded(seconds=0.05), connection.cursor() as cursor:
        cursor.execute(endless)

    assert not Instance.objects.exists()


@pytest.mark.parametrize(
    "query, expected",
    [
        ("retrying", ["timer", "attempt"]),
        ("stuck", ["claimable", "died", "queued"]),
        ("overdue", ["late"]),
        ("no-worker", ["no-code"]),
        ("stuck retrying", []),
    ],
)
def test_marks_find_what_they_say(viewer, query, expected):
    long_ago = timezone.now() - timedelta(minutes=5)
    soon = timezone.now() + timedelta(minutes=5)
    WorkerLease.objects.create(hub="default", worker="w", host="h", pid=1, expires_at=soon)
    found = {
        name: rows.instance(name, minutes=-number, **columns)
        for number, (name, columns) in enumerate(
            {
                "timer": {},
                "attempt": {},
                "claimable": {"status": "Pending", "claimable_at": long_ago},
                "died": {"attempts": 2},
                "queued": {},
                "late": {},
                "no-code": {"waiting_for": "no worker has the code of orchestrator bill"},
                "ended": {"status": "Completed", "attempts": 2},
            }.items()
        )
    }
    work = {"hub": "default", "execution": 1, "sequence": 1, "name": "charge", "scheduled_at": long_ago}
    Timer.objects.create(hub="default", instance=found["timer"], execution=1, task_id=1, attempt=1, due_at=soon)
    ActivityWorkItem.objects.create(instance=found["attempt"], task_id=1, attempt=2, visible_at=soon, **work)
    ActivityWorkItem.objects.create(instance=found["queued"], task_id=1, visible_at=long_ago, **work)
    rows.wait(found["late"], due_at=long_ago)

    page = viewer.get(LIST, {"q": query}).text

    assert ids(page) == expected
    if expected and query != "no-worker":
        assert page.count(f"</svg>{query.capitalize()}</span>") == len(expected)


@pytest.mark.parametrize(
    "sort, query, expected",
    [
        ("created", "", ["a", "c", "b"]),
        ("id", "", ["a", "b", "c"]),
        ("-id", "", ["c", "b", "a"]),
        ("-completed", "status:completed", ["b", "a", "c"]),
        ("completed", "", ["b", "c", "a"]),
    ],
)
def test_it_sorts_by_what_an_index_has(viewer, sort, query, expected):
    for number, (name, ended) in enumerate((("a", 20), ("c", 10), ("b", 30))):
        rows.instance(name, minutes=number, status="Completed", completed_at=rows.NOON + timedelta(minutes=ended))

    assert ids(viewer.get(LIST, {"sort": sort, "q": query}).text) == expected


def test_heads_of_sorted_columns_say_so(viewer):
    rows.instance("one")

    page = viewer.get(LIST, {"sort": "id"}).text

    assert re.search(r'aria-sort="ascending"[^>]*><a href="[^"]*sort=-id[^"]*">Instance', page)
    assert viewer.get(LIST, {"sort": "error"}).status_code == 404


def test_the_link_to_share_has_fixed_times(viewer):
    rows.instance("one", created_at=timezone.now())

    page = viewer.get(LIST, {"q": "created:-24h"}).text

    assert re.search(r'data-copy="http://testserver/hubs/default/instances/\?q=created%3E20\d\d-[^"]*Z"', page)


def test_each_term_can_be_taken_away(viewer):
    page = viewer.get(LIST, {"q": "name:e* tag:a=b created:-24h"}).text

    assert f'href="{LIST}?q=tag%3Aa%3Db+created%3A-1d"' in page
    assert f'href="{LIST}?q=name%3Ae%2A+created%3A-1d"' in page
    assert f'href="{LIST}?q=name%3Ae%2A+tag%3Aa%3Db"' in page
