"""The overview and its neighbours in a browser: live without flicker, a click from a number to what it counts."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from tests import rows
from tests.e2e.looks import faults

pytestmark = pytest.mark.django_db(transaction=True)

OVERVIEW = "/hubs/default/"


@pytest.fixture
def viewer(people) -> str:
    return "dana"


def test_numbers_change_in_place_and_what_is_open_stays_open(viewer, open_page):
    rows.instance("first", created_at=timezone.now())
    page = open_page(viewer, OVERVIEW)
    page.get_by_text("The same numbers as a table").click()
    expect(page.get_by_role("link", name="Running 1")).to_be_visible()
    page.evaluate("window.isSamePage = true")

    rows.instance("second", created_at=timezone.now())

    expect(page.get_by_role("link", name="Running 2")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("region", name="Instances started, as a table")).to_be_visible()
    assert page.evaluate("window.isSamePage")


def test_a_bar_leads_to_the_instances_that_it_counts(viewer, open_page):
    rows.instance("counted", created_at=timezone.now())
    rows.instance("earlier", created_at=timezone.now() - timedelta(hours=5))
    page = open_page(viewer, OVERVIEW)

    page.locator("#region-histogram svg a").last.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("link", name="counted")).to_be_visible()
    expect(page.get_by_role("link", name="earlier")).to_have_count(0)


def test_the_menu_of_hubs_loads_when_it_is_opened(viewer, open_page):
    rows.instance(hub="other")
    page = open_page(viewer, OVERVIEW)
    expect(page.get_by_role("link", name="other")).to_have_count(0)

    page.locator(".hub-menu summary").click()
    page.get_by_role("link", name="other").click()

    expect(page).to_have_url(re.compile(r"/hubs/other/$"))


@pytest.mark.parametrize("path", [OVERVIEW, "/hubs/", "/hubs/default/flows/", "/hubs/default/workers/"])
def test_pages_work_without_javascript(viewer, open_page, path):
    rows.instance(
        "only", status="Failed", completed_at=timezone.now(), created_at=timezone.now(), error="ValueError: no"
    )
    page = open_page(viewer, path, javascript=False)

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if path == OVERVIEW:
        page.get_by_role("link", name="7 days").click()
        expect(page.get_by_role("link", name="Failed 1")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_empty_overview_and_an_open_menu_are_accessible(viewer, open_page, dark):
    page = open_page(viewer, OVERVIEW, dark=dark)
    assert not faults(page)

    page.locator(".hub-menu summary").click()
    expect(page.get_by_role("link", name="default", exact=True)).to_be_visible()
    assert not faults(page)
