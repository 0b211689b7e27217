"""The instances list in a browser: nothing that the reader has done is lost, and everything is in the address."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone
from playwright.sync_api import Page, expect

from orchestrations.models import Instance, Preferences
from tests.e2e import scenes

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/hubs/default/instances/"
SOON_MS = 6_000
LONG = "the card provider did not answer within thirty seconds, and neither did the one that stands in for it"


def many(count: int = 60) -> list[Instance]:
    now = timezone.now()
    return [scenes.add(now - timedelta(minutes=count - number), f"order-{number:02}") for number in range(count)]


def ids(page: Page) -> list[str]:
    return page.locator("a[data-row]").all_inner_texts()


def box(page: Page, instance_id: str):
    return page.get_by_label(f"Select {instance_id}", exact=True)


def follow_updates(page: Page, count: int) -> None:
    """Change another row that often, and see each change arrive."""
    for number in range(count):
        Instance.objects.filter(instance_id="order-03").update(
            waiting_for=f"update {number}", last_updated_at=timezone.now()
        )
        expect(page.locator("#rows tr", has_text="order-03")).to_contain_text(f"update {number}")


def test_a_new_instance_is_announced_and_no_row_moves(people, open_page):
    many(5)
    page = open_page("admin", LIST)
    before = ids(page)

    scenes.add(timezone.now(), "latest")

    button = page.get_by_role("link", name="Show 1 new instance")
    expect(button).to_be_visible(timeout=SOON_MS)
    assert ids(page) == before
    button.click()
    expect(page.locator("a[data-row]").first).to_have_text("latest")


def test_ticked_boxes_and_what_is_open_survive_live_updates(people, open_page):
    many(6)
    Instance.objects.filter(instance_id="order-04").update(error=LONG)
    page = open_page("admin", LIST)
    box(page, "order-02").check()
    box(page, "order-05").check()
    page.locator("#rows summary").click()
    expect(page.locator("#rows details")).to_have_attribute("open", "")

    follow_updates(page, 5)

    expect(page.locator("#rows details")).to_have_attribute("open", "")
    expect(box(page, "order-02")).to_be_checked()
    expect(box(page, "order-05")).to_be_checked()
    expect(box(page, "order-01")).not_to_be_checked()
    expect(page.get_by_text("2 selected")).to_be_visible()


def test_a_row_that_stops_matching_stays_in_its_place(people, open_page):
    many(3)
    page = open_page("admin", f"{LIST}?q=status:running")

    Instance.objects.filter(instance_id="order-01").update(status="Completed", last_updated_at=timezone.now())

    row = page.locator("#rows tr", has_text="order-01")
    expect(row).to_contain_text("No longer matches", timeout=SOON_MS)
    assert ids(page) == ["order-02", "order-01", "order-00"]


def test_going_back_gives_the_filter_the_place_and_the_focus_back(people, open_page):
    many(120)
    page = open_page("admin", LIST)
    page.get_by_label("Query").fill("status:running id:order-*")
    page.get_by_label("Query").press("Enter")
    expect(page).to_have_url(re.compile("q=status"))
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile("cursor="))
    shown, address = ids(page), page.url
    opened = page.locator("a[data-row]").nth(7)
    name = opened.inner_text()
    opened.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)

    page.go_back()

    expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
    assert page.url == address
    assert ids(page) == shown
    expect(page.get_by_label("Query")).to_have_value("status:running id:order-*")


def test_an_address_shows_the_same_in_another_browser(site, open_page):
    admin = User.objects.get(username="admin")
    Preferences.objects.create(user=admin, columns=["id", "version", "status", "created"], time_zone="Asia/Kolkata")
    page = open_page("admin", f"{LIST}?q=status:running,failed+created>2020-01-01")

    other = open_page("admin", page.url)

    assert ids(other) == ids(page)
    heads = "thead th"
    assert other.locator(heads).all_inner_texts() == page.locator(heads).all_inner_texts()
    chips = ".chips a[aria-current], nav[aria-label='Terms'] a"
    assert other.locator(chips).all_inner_texts() == page.locator(chips).all_inner_texts()
    assert other.locator(heads).first.inner_text().startswith("Instance")


def test_a_query_that_cannot_be_read_says_where_and_the_results_stay(people, open_page):
    many(3)
    page = open_page("admin", LIST)
    query = page.get_by_label("Query")
    query.fill("name:Foo AND")
    query.press("Enter")

    problem = page.locator("#query-problem[role=alert]")
    expect(problem).to_contain_text("At position 10: AND needs a term after it.")
    expect(problem.locator("mark")).to_have_text("AND")
    assert ids(page) == ["order-02", "order-01", "order-00"]
    assert page.url.endswith(LIST)

    query.fill("id:order-01")
    query.press("Enter")
    expect(page.locator("a[data-row]")).to_have_count(1)
    expect(problem).to_be_empty()


def test_a_view_shared_with_a_group_is_in_its_members_navigation(people, open_page):
    many(2)
    group = Group.objects.get(name="Finance approvers")
    looking = Permission.objects.get(codename="view_instance")
    erin, fred = (User.objects.create_user(name) for name in ("erin", "fred"))
    for user in (erin, fred):
        user.user_permissions.add(looking)
    erin.groups.add(group)
    dana = open_page("dana", f"{LIST}?q=status:running")
    dana.get_by_role("link", name="Save view…").click()
    dana.get_by_label("Name").fill("At work")
    dana.get_by_label("Who sees it").select_option(label="Group Finance approvers")
    dana.get_by_role("button", name="Save").click()
    expect(dana.get_by_text("The view At work is saved.")).to_be_visible()
    expect(dana.locator(".pinned")).to_contain_text("At work 2")

    expect(open_page("erin", LIST).locator(".pinned")).to_contain_text("At work")
    expect(open_page("fred", LIST).locator(".pinned")).to_have_count(0)


def test_keys_move_tick_open_and_go(people, open_page):
    many(4)
    page = open_page("admin", LIST)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="order-02")).to_be_focused()
    page.keyboard.press("x")
    expect(box(page, "order-02")).to_be_checked()
    page.keyboard.press("k")
    expect(page.get_by_role("link", name="order-03")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    goto = page.get_by_label("Go to an instance")
    expect(goto).to_be_focused()
    page.keyboard.type("order-0")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Query")).to_have_value("id:order-0*")
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", level=1)).to_contain_text("order-03")
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.get_by_role("heading", level=1)).to_have_text("Instances")


def test_keys_do_nothing_for_those_who_turned_them_off(people, open_page):
    many(2)
    page = open_page("admin", "/prefs/")
    page.get_by_label("Single keys are shortcuts").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your preferences are saved.")).to_be_visible()
    page.goto(LIST)

    page.keyboard.press("/")
    page.keyboard.press("j")

    expect(page.get_by_label("Go to an instance")).not_to_be_focused()
    expect(page.get_by_role("link", name="order-01")).not_to_be_focused()


def test_the_box_at_the_top_opens_ids_and_lists_tags(people, open_page):
    many(3)
    Instance.objects.filter(instance_id="order-01").update(tags={"region": "eu"})
    page = open_page("admin", LIST)
    goto = page.get_by_label("Go to an instance")
    goto.fill("region=eu")
    goto.press("Enter")
    expect(page.locator("a[data-row]")).to_have_text(["order-01"])

    goto.fill("order-02")
    goto.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_contain_text("order-02")


def test_all_of_a_page_are_ticked_at_once(people, open_page):
    many(3)
    page = open_page("admin", LIST)
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("3 selected")).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("button", name="Export selected").click()

    assert download.value.suggested_filename.endswith(".csv")


def test_filters_work_without_javascript(people, open_page):
    many(3)
    page = open_page("admin", LIST, javascript=False)
    page.get_by_text("Filter with a form").click()
    page.get_by_label("Id begins with").fill("order-02")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("a[data-row]")).to_have_text(["order-02"])
    page.get_by_role("link", name="Take away id:order-02*").click()
    expect(page.locator("a[data-row]")).to_have_count(3)
    page.get_by_label("Query").fill("status:sleepy")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("alert").filter(has_text="sleepy is no status")).to_be_visible()
