"""The retention page, and the task hubs that there are."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from orchestrations.models import Chore, ChoreRun, Instance
from orchestrations.store import get_store
from tests import rows
from tests.reading_statements import reads

RETENTION = "/hubs/default/retention/"


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def ended(days: float, status: str = "Completed", **columns: object) -> Instance:
    at = timezone.now() - timedelta(days=days)
    return rows.instance(status=status, created_at=at, completed_at=at, **columns)


@pytest.fixture
def rules(settings):
    settings.DURABLE = {
        **settings.DURABLE,
        "RETENTION": {"Completed": 30, "Failed": 90},
        "RETENTION_BY_ORCHESTRATOR": {"poll": {"Completed": 1}, "payout": {"Completed": None}},
    }


def test_without_rules_it_says_that_everything_is_kept_and_how_to_change_that(viewer):
    assert "Everything is kept for ever" in viewer.get(RETENTION).text


def test_each_rule_says_what_is_due_and_what_comes_next(viewer, rules):
    ended(40)
    ended(40)
    ended(2, name="poll")
    ended(400, name="payout")
    ended(100, "Terminated")

    text = words(viewer.get(RETENTION).text)

    assert "Completed all without a rule of their own 30 d 2 with the next look" in text
    assert "Failed all without a rule of their own 90 d 0 nothing to delete" in text
    assert "Completed poll 1 d 1 with the next look" in text
    assert "Completed payout for ever — never" in text


def test_what_chores_have_done_is_told_by_the_hour(viewer):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    Chore.objects.create(hub="default", name="retention", due_at=hour)
    ChoreRun.objects.create(
        hub="default", name="retention", hour=hour, runs=3, done=1_200, seconds=2.5, last_at=hour, trouble="OSError: no"
    )

    text = words(viewer.get(RETENTION).text)

    assert re.search(r"Retention next at \S+", text)
    assert "Retention 3 1,200 2.5 s OSError: no" in text


def test_the_rules_of_another_hub_are_not_this_sites(viewer, rules):
    rows.instance(hub="other")

    assert "rules of this site's own task hub" in words(viewer.get("/hubs/other/retention/").text)


@pytest.mark.parametrize("count", [1, 30])
def test_it_costs_the_same_queries_whatever_there_is(viewer, rules, django_assert_max_num_queries, count):
    for _ in range(count):
        ended(40)

    with django_assert_max_num_queries(30) as asked:
        viewer.get(RETENTION)

    assert len(reads(asked)) == 11


def test_the_hubs_page_says_what_is_live_and_what_needs_somebody(viewer):
    rows.wait(rows.instance(), title="May I?")
    ended(0.01, "Failed", hub="other")
    get_store().open_lease("web:1", "web", 1, timedelta(seconds=15), 16, "{}")

    text = words(viewer.get("/hubs/").text)

    assert "default 1 0 1 1 nothing waits" in text
    assert "other 0 1 0 none nothing waits" in text


@pytest.mark.parametrize("count", [1, 30])
def test_the_hubs_page_costs_two_short_queries_more_for_each_hub(viewer, django_assert_max_num_queries, count):
    for number in range(count):
        rows.instance(hub=f"hub-{number}")

    with django_assert_max_num_queries(14 + count):
        viewer.get("/hubs/")


def test_the_menu_of_hubs_is_fetched_by_itself(viewer):
    rows.instance(hub="other")

    page = viewer.get("/hubs/default/").text
    menu = viewer.get("/hub-menu/").text

    assert 'hx-get="/hub-menu/"' in page
    assert "/hubs/other/" not in page
    assert re.findall(r'href="([^"]+)"', menu) == ["/hubs/default/", "/hubs/other/"]


@pytest.mark.parametrize("path", ["/hubs/", "/hub-menu/", RETENTION])
def test_they_need_the_permission_to_view(approver, sign_in, path):
    assert approver.get(path).status_code == 403
    assert sign_in("anonymous").get(path).status_code == 302
