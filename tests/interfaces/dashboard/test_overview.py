"""The overview: what needs somebody, what there is, when it was started; each region by itself."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from orchestrations.interfaces.dashboard import bounded_reading as reading
from orchestrations.interfaces.dashboard.bounded_reading import TookTooLong, bounded
from orchestrations.models import (
    ActivityWorkItem,
    DeadLetter,
    HumanTask,
    InboxMessage,
    Instance,
    OutgoingWebhook,
    WorkerLease,
)
from tests import rows
from tests.asking import ask
from tests.reading_statements import reads

OVERVIEW = "/hubs/default/"


def lease(worker: str = "web-1:17", *, lives: bool = True, **functions: object) -> WorkerLease:
    now = timezone.now()
    return WorkerLease.objects.create(
        hub="default",
        worker=worker,
        host="web-1",
        pid=17,
        expires_at=now + timedelta(seconds=15 if lives else -15),
        functions=json.dumps({"versions": {"echo": [""]}, "activities": ["work"], "entities": []} | functions),
    )


def activity(name: str, *, waits: timedelta = timedelta()) -> ActivityWorkItem:
    at = timezone.now() - waits
    return ActivityWorkItem.objects.create(
        hub="default",
        instance=rows.instance(),
        execution=1,
        task_id=1,
        sequence=1,
        name=name,
        scheduled_at=at,
        visible_at=at,
    )


def message(instance: Instance, *, waits: timedelta = timedelta()) -> InboxMessage:
    at = timezone.now() - waits
    return InboxMessage.objects.create(
        hub="default", instance=instance, type="EventRaised", created_at=at, visible_at=at
    )


def dead(instance_id: str, **columns: object) -> DeadLetter:
    return DeadLetter.objects.create(
        **{"hub": "default", "kind": "activity", "instance_pk": 1, "instance_id": instance_id, "execution": 1}
        | {"position": 1, "name": "charge", "deaths": 3, "error": "It died."} | columns
    )  # fmt: skip


def webhook(**columns: object) -> OutgoingWebhook:
    return OutgoingWebhook.objects.create(**{"name": "shop", "url": "https://shop.example/", "events": []} | columns)


def ended(status: str, ago: timedelta, **columns: object) -> Instance:
    at = timezone.now() - ago
    return rows.instance(status=status, created_at=at, started_at=at, completed_at=at, **columns)


def region(text: str, name: str) -> str:
    """The part of the page that the region makes up."""
    return html.unescape(re.search(rf'<section id="region-{name}".*?</section>', text, re.DOTALL)[0])


def tick_url(text: str) -> str:
    versions = ",".join(re.findall(r'data-watch="([^"]*)"', text))
    url = html.unescape(re.search(r'data-tick="([^"]+)"', text)[1])
    return f"{url}{'&' if '?' in url else '?'}v={versions}"


def test_the_site_begins_with_the_overview(viewer):
    assert viewer.get("/").headers["Location"] == OVERVIEW


def test_nothing_needs_attention_where_a_worker_waits_for_work(viewer):
    lease()

    assert "Nothing: no failure in the last hour" in region(viewer.get(OVERVIEW).text, "attention")


@pytest.mark.parametrize(
    ("arrange", "said"),
    [
        (lambda: None, "No worker is running: What is started now will wait for one."),
        (lambda: activity("work"), "No worker is running: Work is waiting for one."),
        (lambda: lease("web-2:9", lives=False), "1 worker stopped without a word in the last hour: web-2:9"),
        (lambda: ended("Failed", timedelta(minutes=50), error="ValueError: no"), "1 instance failed in the last hour"),
        (
            lambda: message(rows.instance("lost"), waits=timedelta(minutes=6)),
            "1 instance stuck: ready for over a minute, and no worker takes up what it has to do",
        ),
        (lambda: ask("asks", "May I?", due_in=-timedelta(minutes=1)), "1 question to people overdue"),
        (lambda: activity("work", waits=timedelta(minutes=2)), "Work waits for workers"),
        (lambda: dead("echo-1"), "1 piece of work given up, because the workers died of it"),
        (lambda: webhook(failing_since=rows.NOON), "1 webhook can’t be delivered to, since"),
    ],
)
def test_what_needs_somebody_is_told(viewer, arrange, said):
    arrange()

    text = region(viewer.get(OVERVIEW).text, "attention")

    assert said in re.sub(r"<[^>]+>", "", text)


def test_questions_are_overdue_here_as_in_the_inbox_and_lead_there(viewer):
    asked = {"groups": ("viewers",)}
    overdue = ask("one", "Overdue", due_in=-timedelta(minutes=1), **asked)
    ask("two", "Not yet", **asked)
    decided = ask("three", "Decided, and not delivered yet", due_in=-timedelta(minutes=1), **asked)
    HumanTask.objects.filter(pk=decided.pk).update(state="answered")

    text = region(viewer.get(OVERVIEW).text, "attention")

    assert "1 question to people overdue" in text
    assert f'href="/approvals/{overdue.pk}/"' in text
    inbox = viewer.get(re.search(r'href="(/approvals/)">', text)[1]).text
    assert inbox.count("Overdue ") == 1
    assert viewer.get(f"/approvals/{overdue.pk}/").status_code == 200


def test_dead_letters_have_a_page_and_webhooks_lead_to_the_admin_whoever_gets_in_there(viewer, admin_client):
    dead("one")
    dead("@account@A-7", kind="operation", position=2)
    dead("three", position=3, put_back_at=timezone.now())
    webhook(failing_since=timezone.now(), enabled=False)
    webhook(name="quiet")
    webhook(name="elsewhere", hub="other", failing_since=timezone.now())

    mine, admins = (region(browser.get(OVERVIEW).text, "attention") for browser in (viewer, admin_client))

    for text in (mine, admins):
        assert "2 pieces of work given up" in text
        assert 'href="/hubs/default/i/one/"' in text
        assert 'href="/hubs/default/entities/account/A-7/"' in text
        assert "1 webhook can’t be delivered to" in text
        assert "shop (turned off)" in text
    assert "/admin/" not in mine
    assert viewer.get(re.search(r'href="([^"]+)">Dead letters<', mine)[1]).status_code == 200
    links = re.findall(r'href="(/admin/[^"]+)"', admins)
    assert len(links) == 1
    for link in links:
        assert admin_client.get(html.unescape(link)).status_code == 200


@pytest.mark.parametrize(
    ("arrange", "missing"),
    [
        (lambda: activity("paint"), "activity paint"),
        (lambda: message(rows.instance(name="repaint")), "orchestrator repaint"),
        (lambda: message(rows.instance(version="2.0")), "orchestrator echo, version 2.0"),
        (lambda: rows.instance(name="begin", status="Pending", claimable_at=timezone.now()), "orchestrator begin"),
        (lambda: message(rows.instance("@counter@a", name="counter", is_entity=True)), "entity counter"),
    ],
)
def test_code_that_no_live_worker_has_is_named(viewer, arrange, missing):
    lease(versions={"echo": ["1.0"]})
    lease("web-9:1", lives=False, versions={"repaint": [""], "begin": [""]}, activities=["paint"])
    arrange()

    assert f"No worker has the code of 1 function</strong>: {missing} " in region(
        viewer.get(OVERVIEW).text, "attention"
    )


def test_code_that_a_live_worker_has_is_not_missed(viewer):
    lease()
    activity("work")
    message(rows.instance())

    assert "No worker has" not in viewer.get(OVERVIEW).text


def test_an_old_failure_and_a_suspended_instance_need_nobody(viewer):
    lease()
    ended("Failed", timedelta(hours=2))
    message(rows.instance(status="Suspended"), waits=timedelta(hours=1))

    text = region(viewer.get(OVERVIEW).text, "attention")

    assert "failed in the last hour" not in text
    assert "stuck" not in text


def test_statuses_are_counted_and_lead_to_their_instances(viewer):
    rows.wait(rows.instance(), title="May I?")
    rows.instance(status="Failed")

    text = region(viewer.get(OVERVIEW).text, "counts")

    assert [
        (parse_qs(urlsplit(url).query)["q"][0], label, count)
        for url, label, count in re.findall(r'href="([^"]+)".*?</svg>([\w ]+) <strong>(\S+)</strong>', text)
    ] == [
        ("status:running children", "Running", "1"),
        ("waiting:human children", "Waiting for human", "1"),
        ("status:failed children", "Failed", "1"),
    ]


def test_the_histogram_and_its_table_have_the_same_numbers(viewer):
    for status, minutes in (("Completed", 3), ("Completed", 3), ("Failed", 3), ("Running", 40)):
        rows.instance(status=status, created_at=timezone.now() - timedelta(minutes=minutes))

    text = region(viewer.get(OVERVIEW, {"window": "1h"}).text, "histogram")
    bars = re.findall(r'aria-label="\d\d:\d\d to \d\d:\d\d: ([^"]+)"', text)
    table = [re.findall(r'class="end">(\d+)<', row) for row in re.findall(r"<tr><td>.*?</tr>", text)]

    assert sorted(bars) == ["1 Running", "2 Completed, 1 Failed"]
    assert sorted(table) == [["0", "2", "1", "3"], ["1", "0", "0", "1"]]
    assert "4 instances" in text


def test_a_bar_leads_to_the_instances_of_its_time(viewer):
    rows.instance(created_at=datetime(2026, 3, 1, 12, 4, 30, tzinfo=UTC))

    with time_machine.travel(datetime(2026, 3, 1, 12, 30, tzinfo=UTC), tick=False):
        viewer.force_login(User.objects.get())
        text = region(viewer.get(OVERVIEW, {"window": "1h"}).text, "histogram")

    [url] = re.findall(r'<a href="([^"]+)" aria-label="12:04 to 12:06: 1 Running"', text)
    assert parse_qs(urlsplit(url).query)["q"] == ["created>2026-03-01T12:04Z created<2026-03-01T12:06Z children"]


def test_the_slowest_orchestrators_come_first(viewer):
    at = timezone.now()
    for name, seconds in (("quick", 1), ("slow", 90), ("slow", 10)):
        rows.instance(name=name, status="Completed", started_at=at, completed_at=at + timedelta(seconds=seconds))

    text = region(viewer.get(OVERVIEW).text, "slowest")

    assert re.findall(r'<td>(\w+)</td><td class="end[^>]*>([^<]+)</td><td class="end[^>]*>([^<]+)<', text) == [
        ("slow", "10.0 s", "00:01:30"),
        ("quick", "1.0 s", "1.0 s"),
    ]


def test_an_empty_hub_says_how_to_begin(viewer):
    assert "OrchestrationClient().start_new(" in viewer.get(OVERVIEW).text


@pytest.mark.parametrize("count", [1, 30])
def test_it_costs_the_same_queries_for_one_instance_and_for_thirty(viewer, django_assert_max_num_queries, count):
    lease()
    for number in range(count):
        message(ended("Failed", timedelta(minutes=5)), waits=timedelta(minutes=10))
        message(rows.instance(), waits=timedelta(minutes=10))
        ask(f"asks-{number}", "May I?", due_in=-timedelta(minutes=1))

    with django_assert_max_num_queries(60) as queries:
        viewer.get(OVERVIEW)

    asked = reads(queries)
    assert len(asked) == 35
    assert not any('"durable_instance"."input"' in sql for sql in asked)


def test_a_region_that_fails_leaves_its_neighbours_alone(viewer, monkeypatch):
    from orchestrations.reading import statistics

    def too_long(*arguments: object) -> None:
        raise TookTooLong("The database did not answer in time.")

    rows.instance("there")
    monkeypatch.setattr(statistics, "histogram", too_long)

    response = viewer.get(OVERVIEW)

    assert response.status_code == 200
    assert "Not available" in region(response.text, "histogram")
    assert "more than 1 s" in region(response.text, "histogram")
    assert "Running <strong>1</strong>" in region(response.text, "counts")


def test_a_statement_that_takes_too_long_is_ended(viewer, monkeypatch):
    from django.db import connection

    from orchestrations.reading import hub_state

    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL ends statements")

    def sleep(*arguments: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(reading, "bounded", partial(bounded, seconds=0.05))
    monkeypatch.setattr(hub_state, "backlogs", sleep)

    text = viewer.get(OVERVIEW).text

    assert "Not available" in region(text, "backlog")
    assert "Nothing has completed yet" in region(text, "slowest")


def test_a_tick_says_nothing_while_nothing_changes(viewer):
    rows.instance()
    page = viewer.get(OVERVIEW).text

    assert viewer.get(tick_url(page)).status_code == 204


def test_a_tick_names_the_regions_that_have_changed(viewer, monkeypatch):
    rows.instance(created_at=timezone.now())
    page = viewer.get(OVERVIEW).text
    monkeypatch.setattr(reading, "REMEMBERED_SECONDS", 0)

    Instance.objects.update(status="Suspended")
    response = viewer.get(tick_url(page))

    assert set(json.loads(response.headers["HX-Trigger"])) == {"dash:counts", "dash:histogram"}


def test_many_readers_cost_what_one_does(viewer, django_assert_num_queries):
    rows.instance()
    page = viewer.get(OVERVIEW).text
    own = 3  # the session, the person, and what they hold

    with django_assert_num_queries(own):
        viewer.get(tick_url(page))


def test_a_region_can_be_fetched_by_itself(viewer):
    rows.instance()

    response = viewer.get("/hubs/default/overview-regions/counts/", headers={"HX-Request": "true"})

    assert response.text.strip().startswith('<section id="region-counts"')
    assert viewer.get("/hubs/default/overview-regions/nothing/").status_code == 404


@pytest.mark.parametrize("path", ["", "overview-tick/", "overview-regions/counts/", "workers/"])
def test_it_needs_the_permission_to_view(approver, sign_in, path):
    assert approver.get(OVERVIEW + path).status_code == 403
    assert sign_in("anonymous").get(OVERVIEW + path).status_code == 302


def test_a_hub_that_there_is_not_is_not_found(viewer):
    assert viewer.get("/hubs/nowhere/").status_code == 404


def test_the_task_hubs_are_told_of_when_they_change(viewer):
    page = viewer.get("/hubs/").text
    version = re.search(r'data-watch="(hubs:\w+)"', page)[1]
    assert viewer.get("/hubs-tick/", {"v": version}).status_code == 204

    rows.instance("a", status="Running")
    reading._kept.clear()

    answer = viewer.get("/hubs-tick/", {"v": version})
    assert "dash:hubs" in answer.headers["HX-Trigger"]
    part = viewer.get("/hubs/", headers={"HX-Request": "true"}).text
    assert part.lstrip().startswith("<section")


def test_a_bar_is_labelled_in_the_readers_zone(viewer):
    viewer.post("/prefs/", {"time_zone": "Asia/Kolkata", "theme": "system", "density": "normal"})
    rows.instance("a", status="Running", created_at=timezone.now())

    text = viewer.get(OVERVIEW, {"window": "1h"}).text

    assert "times are in Kolkata" in text
    assert "Started (Kolkata)" in text
    offset = ZoneInfo("Asia/Kolkata")
    assert timezone.now().astimezone(offset).strftime("%H:") in "".join(re.findall(r"<span>(\d\d:)", text))
