"""The page of one instance in a browser: large, live, by keyboard, without workers, and without JavaScript."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import expect

from orchestrations.core.events import EventType
from orchestrations.models import Instance
from tests.e2e import scenes

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/hubs/default/i/one/"
EVENTS = 100_000
ELEMENTS = 3_000
TABS = (
    "",
    "history/",
    "history/?view=compact",
    "history/?view=json",
    "tree/",
    "related/",
    "io/",
    "stack/",
    "diagram/",
    "raw/",
)


def step(instance: Instance, *events: tuple[float, EventType, dict[str, object]]) -> None:
    """What a commit of the engine does: events, and a row that has changed."""
    scenes.tell(instance, *events)
    Instance.objects.filter(pk=instance.pk).update(last_updated_at=timezone.now())


@pytest.mark.parametrize("size", [(1280, 800), (1600, 1000)], ids=["laptop", "screen"])
def test_the_first_rows_of_the_timeline_are_in_sight(site, open_page, size):
    page = open_page("admin", "/prefs/")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for instance_id in ("ord-7F3A-0002", "batch-2026-01-20", "mon-31", "clm-1B09", "ref-88", "ob-552"):
        page.goto(f"/hubs/default/i/{instance_id}/")
        expect(page.locator("#tab svg a").first).to_be_in_viewport(ratio=1)
        expect(page.locator("#tab svg a").nth(1)).to_be_in_viewport(ratio=1)


@pytest.fixture
def one(people) -> Instance:
    at = timezone.now() - timedelta(minutes=1)
    instance = scenes.add(
        at,
        "one",
        waits=json.dumps([{"kind": "Activity", "name": "charge_card", "task_id": 1, "since": at.isoformat()}]),
        blocked_at="orders/flows.py:48 in order_flow",
        blocked_code="receipt = yield context.call_activity(charge_card, order)",
    )
    scenes.tell(
        instance,
        *scenes.begun(at),
        (1, EventType.TASK_SCHEDULED, {"task_id": 1, "name": "charge_card"}),
        (2, EventType.TASK_SCHEDULED, {"task_id": 2, "name": "send_mail"}),
    )
    return instance


def test_an_instance_of_a_hundred_thousand_events_opens_small(people, open_page):
    scenes.long(timezone.now() - timedelta(days=2), "one", EVENTS)
    page = open_page("admin", PAGE)

    for tab in TABS:
        page.goto(PAGE + tab)
        expect(page.get_by_role("link", name="Suspend…", exact=True)).to_be_visible()
        assert page.evaluate("document.querySelectorAll('*').length") < ELEMENTS, tab


def test_a_span_that_ends_is_told_as_completed_without_a_reload(one, open_page):
    page = open_page("admin", PAGE)
    span = page.locator("#tab svg a", has_text="charge_card")
    expect(span).to_have_attribute("aria-label", re.compile("^charge_card, queued"))
    span.focus()

    step(one, (9, EventType.TASK_COMPLETED, {"task_id": 1, "name": "charge_card"}))

    expect(span).to_have_attribute("aria-label", re.compile("^charge_card, completed"))
    expect(span).to_be_focused()


def test_the_title_of_the_page_follows_the_status(one, open_page):
    page = open_page("admin", PAGE)
    expect(page).to_have_title("Running · one · default")

    one.status = "Suspended"
    step(one, (9, EventType.EXECUTION_SUSPENDED, {}))

    expect(page).to_have_title("Suspended · one · default")
    expect(page.locator("#announcer")).to_have_text("The instance is Suspended now")


@pytest.mark.parametrize("tab", ["", "diagram/"])
def test_links_of_pictures_are_called_what_is_seen_of_them(site, open_page, tab):
    for instance_id in ("batch-2026-01-20", "mon-31", "etl-2026-01-05"):
        page = open_page("admin", f"/hubs/default/i/{instance_id}/{tab}")
        found = Axe().run(page, options={"runOnly": {"type": "rule", "values": ["label-content-name-mismatch"]}})
        assert not found.response["violations"]


def test_tab_reaches_each_span_and_back_returns_the_focus(one, open_page):
    page = open_page("admin", PAGE)
    spans = page.locator("#tab svg a")
    spans.first.focus()
    reached = []
    for _ in range(spans.count()):
        reached.append(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    assert len(set(reached)) == spans.count()

    span = page.locator("#tab svg a", has_text="send_mail")
    span.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("3 TaskScheduled send_mail")
    page.go_back()

    expect(span).to_be_focused()


def test_the_line_that_waits_is_shown_with_every_worker_stopped(one, open_page):
    page = open_page("admin", PAGE)

    facts = page.get_by_role("region", name="Facts")
    expect(facts).to_contain_text("orders/flows.py:48 in order_flow")
    expect(facts).to_contain_text("receipt = yield context.call_activity(charge_card, order)")
    expect(page.locator(".why")).to_contain_text("No worker of the task hub is running")


def test_what_has_ended_can_be_neither_suspended_nor_terminated(one, open_page, forgiven):
    forgiven.add("status of 409")
    Instance.objects.update(status="Completed", completed_at=timezone.now())
    page = open_page("admin", PAGE)
    expect(page.get_by_role("link", name="Start again…")).to_be_visible()

    for verb in ("Suspend…", "Terminate…"):
        expect(page.get_by_role("link", name=verb)).to_have_count(0)
    token = page.locator("[name=csrfmiddlewaretoken]").first.get_attribute("value")
    for slug in ("suspend", "terminate"):
        answer = page.request.post(
            f"{PAGE}do/{slug}/",
            form={"csrfmiddlewaretoken": token, "reason": "by hand"},
            headers={"Referer": page.url},
        )
        assert answer.status == 409
        assert "Completed" in answer.text()


def test_new_events_are_appended_and_what_is_open_stays_open(one, open_page):
    step(one, (3, EventType.TASK_COMPLETED, {"task_id": 1, "name": "charge_card", "payload": {"receipt": 7}}))
    page = open_page("admin", f"{PAGE}history/")
    page.locator("#e4 summary").click()
    expect(page.locator("#e4 pre")).to_contain_text('"receipt": 7')
    page.get_by_label("Name of a task or event").fill("half a na")

    step(one, (9, EventType.TASK_COMPLETED, {"task_id": 2, "name": "send_mail"}))

    expect(page.locator("#e5")).to_contain_text("TaskCompleted")
    expect(page.locator("#e4 pre")).to_be_visible()
    expect(page.get_by_label("Name of a task or event")).to_have_value("half a na")


def test_a_branch_of_the_tree_opens_on_demand_and_stays_open(one, open_page):
    child = scenes.add(timezone.now(), "kid", parent=one)
    scenes.add(timezone.now(), "grandkid", parent=child)
    page = open_page("admin", f"{PAGE}tree/")
    page.get_by_text("1 child of kid").click()
    grandkid = page.get_by_role("link", name="grandkid")
    expect(grandkid).to_be_visible()

    Instance.objects.filter(pk=child.pk).update(status="Suspended")
    step(one, (9, EventType.EVENT_RAISED, {"name": "ping"}))

    expect(page.locator(".tree .badge", has_text="Suspended")).to_be_visible()
    expect(grandkid).to_be_visible()


def test_a_payload_is_copied_by_its_button(one, open_page):
    page = open_page("admin", f"{PAGE}io/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Copy input").click()

    expect(page.locator(".toast")).to_have_text("Copied")
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["customer"] == "Acme GmbH"


def test_every_tab_works_without_javascript(one, open_page):
    scenes.add(timezone.now(), "grandkid", parent=scenes.add(timezone.now(), "kid", parent=one))
    page = open_page("admin", PAGE, javascript=False)

    for name in ("History", "Tree", "Related", "Input and output", "Stack", "Diagram", "Audit", "Raw", "Timeline"):
        page.get_by_label("Parts of this instance").get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("one")
    page.goto(f"{PAGE}history/")
    page.get_by_label("Name of a task or event").fill("mail")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#tab tbody tr")).to_have_count(1)
    page.goto(f"{PAGE}tree/")
    page.get_by_text("1 child of kid").click()
    page.get_by_role("link", name="Children of kid").click()
    expect(page.get_by_role("link", name="grandkid")).to_be_visible()


def test_an_open_page_of_an_instance_that_is_purged_says_so(one, open_page, forgiven):
    forgiven.add("status of 410")
    page = open_page("admin", PAGE)
    expect(page.get_by_role("link", name="Suspend…", exact=True)).to_be_visible()

    scenes.act(one, "purge", "dana", "asked to")
    one.delete()

    expect(page.locator(".why")).to_contain_text("Purged by dana")
