"""What people choose for themselves, and what becomes of it on pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orchestrations.interfaces.dashboard.columns import USUAL
from orchestrations.interfaces.dashboard.preference_forms import arranged
from orchestrations.models import Preferences
from tests import rows

LIST = "/hubs/default/instances/"
PREFS = "/prefs/"
CHOICE = {"time_zone": "Asia/Kolkata", "theme": "dark", "density": "compact"}


def heads(text: str) -> list[str]:
    return [re.sub("<[^>]*>", "", head) for head in re.findall(r'<th scope="col".*?</th>', text)]


def test_times_are_in_the_readers_zone_and_in_utc_in_the_title(viewer):
    rows.instance("one", waiting_for="timer due 2026-03-01T12:30:00+00:00")
    viewer.post(PREFS, CHOICE)

    text = viewer.get(LIST).text

    assert re.search(r'title="2026-03-01 12:00:00 UTC" class="nowrap">(Mar 1, 17:30|2026-03-01 17:30)</time>', text)
    assert "timer due 2026-03-01 18:00:00" in text
    assert ">Kolkata</a>" in text


def test_times_of_a_query_are_in_the_readers_zone_and_the_address_says_which(viewer):
    rows.instance("one")
    viewer.post(PREFS, CHOICE)

    moved = viewer.get(LIST, {"q": "created>2026-03-01T17:00"})
    page = viewer.get(moved["Location"])

    assert moved["Location"] == f"{LIST}?q=created%3E2026-03-01T11%3A30Z"
    assert 'value="created&gt;2026-03-01T17:00"' in page.text
    assert ">one</a>" in page.text


def test_density_and_theme_are_on_every_page_and_shortcuts_can_be_turned_off(viewer):
    assert "data-shortcuts" in viewer.get(LIST).text

    viewer.post(PREFS, CHOICE)
    text = viewer.get("/approvals/").text

    assert 'data-theme="dark" data-density="compact"' in text
    assert "data-shortcuts" not in text
    assert 'id="shortcuts"' not in text


def test_the_theme_follows_to_another_browser(viewer):
    viewer.post(PREFS, CHOICE)
    other = Client()
    other.force_login(Preferences.objects.get().user)

    assert 'data-theme="dark"' in other.get(LIST).text


def test_columns_are_chosen_and_put_in_order(viewer):
    rows.instance("one", version="1.2", tags={"region": "eu"})
    for act in ("hide:updated", "show:version", "show:tags", "earlier:version", "earlier:version"):
        viewer.post("/prefs/columns/", {"do": act})

    text = viewer.get(LIST).text

    assert heads(text) == [
        "Status", "Instance", "Orchestrator", "Now doing / why", "Version", "Created", "Duration", "Tags",
    ]  # fmt: skip
    assert '<span class="tag">region=eu</span>' in text
    viewer.post("/prefs/columns/", {"do": "reset"})
    assert heads(viewer.get(LIST).text)[-2:] == ["Updated", "Duration"]


def test_the_column_that_links_to_the_instance_stays():
    assert arranged(["status", "id"], "hide", "id") == ["status", "id"]
    assert arranged(["status", "id"], "show", "canary") == ["status", "id"]
    assert arranged(list(USUAL), "later", USUAL[-1]) == list(USUAL)


def test_a_zone_that_there_is_none_of_is_refused(viewer):
    assert viewer.post(PREFS, CHOICE | {"time_zone": "Middle/Earth"}).status_code == 422


def test_the_line_at_which_each_instance_is_blocked_is_a_column(viewer, django_assert_max_num_queries):
    for number in range(5):
        rows.instance(blocked_at=f"orders/flows.py:{number} in order_flow")
    viewer.post("/prefs/columns/", {"do": "show:blocked"})

    with django_assert_max_num_queries(10):
        page = viewer.get("/hubs/default/instances/").text

    assert "Blocked at" in page
    assert "orders/flows.py:4 in order_flow</td>" in page


@pytest.mark.parametrize("kept", [["canary"], [], ["status", 7, None]])
def test_columns_that_are_none_are_left_out(viewer, kept):
    Preferences.objects.create(user_id=viewer.session["_auth_user_id"], columns=kept)
    viewer.post("/prefs/columns/", {"do": "show:nothing"})

    assert "Instance" in heads(viewer.get(LIST).text)


def test_what_a_person_chose_is_remembered_between_pages(viewer):
    viewer.get(LIST)

    with CaptureQueriesContext(connection) as asked:
        viewer.get(LIST)

    assert not [query for query in asked.captured_queries if "durable_preferences" in query["sql"]]


def test_only_who_is_signed_in_has_preferences(db):
    assert Client().get(PREFS)["Location"].startswith("/accounts/login/")


def test_an_hour_that_occurs_twice_is_shown_twice(viewer):
    rows.instance("one")
    viewer.post(PREFS, CHOICE | {"time_zone": "Europe/Berlin"})
    for hour in (0, 1):
        rows.instance(f"at-{hour}", created_at=datetime(2025, 10, 26, hour, 30, tzinfo=UTC))

    assert viewer.get(LIST).text.count("2025-10-26 02:30</time>") == 2
