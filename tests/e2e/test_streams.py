"""Pages of a site that can keep answers open: they hear of changes without asking, and get over its absence."""

from __future__ import annotations

import time

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Request, expect

from orchestrations.interfaces.dashboard.live import answering
from orchestrations.interfaces.dashboard.live.watching import LOOK_SECONDS
from orchestrations.models import Instance
from tests.e2e import scenes
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/hubs/default/instances/"
TICK = "/tick/"
SPREAD_SECONDS = 0.1  # of an instance's page: data-spread
BROWSERS_SECONDS = 0.7  # that a busy machine takes to fetch and to draw


@pytest.fixture
def address(async_site) -> str:
    return f"http://127.0.0.1:{async_site.port}"


def is_stream(request: Request) -> bool:
    return TICK in request.url and request.resource_type == "eventsource"


def asked(page: Page) -> tuple[list[str], list[str]]:
    """The streams that the page opens and the ticks that it asks from now on."""
    streams: list[str] = []
    ticks: list[str] = []

    def note(request) -> None:
        if TICK in request.url:
            (streams if is_stream(request) else ticks).append(request.url)

    page.on("request", note)
    return streams, ticks


def complete(instance_id: str) -> None:
    Instance.objects.filter(instance_id=instance_id).update(status="Completed", last_updated_at=timezone.now())


def row(page: Page, instance_id: str):
    return page.locator("#rows tr", has_text=instance_id)


def test_a_row_changes_without_being_asked_for(people, open_page):
    scenes.add(timezone.now(), "order-1")
    page = open_page("admin", "/approvals/")
    _, ticks = asked(page)
    with page.expect_request(is_stream):
        page.goto(LIST)

    complete("order-1")

    expect(row(page, "order-1")).to_contain_text("Completed")
    assert ticks == []


def test_a_change_shows_within_a_second_of_it_and_what_the_browser_takes(people, open_page):
    scenes.add(timezone.now(), "order-1")
    page = open_page("admin", "/approvals/")
    _, ticks = asked(page)
    with page.expect_request(is_stream):
        page.goto("/hubs/default/i/order-1/")
    shown_at = page.evaluate_handle("""() => {
      const shown = [];
      new MutationObserver(() => {
        if (/Completed/.test(document.querySelector("#head .badge").textContent)) shown.push(Date.now() / 1000);
      }).observe(document.getElementById("main"), { childList: true, subtree: true, characterData: true });
      return shown;
    }""")

    changed_at = time.time()
    complete("order-1")

    expect(page.locator("#head .badge")).to_have_text("Completed")
    assert shown_at.json_value()[0] - changed_at < LOOK_SECONDS + SPREAD_SECONDS + BROWSERS_SECONDS
    assert ticks == []


def test_all_windows_hear_though_few_keep_a_line_open(people, open_page):
    scenes.add(timezone.now(), "order-1")
    first = open_page("admin", LIST)
    windows = [first, *(first.context.new_page() for _ in range(6))]
    notes = [asked(window) for window in windows[1:]]
    for window in windows[1:]:
        with window.expect_request(lambda request: TICK in request.url):
            window.goto(LIST)

    complete("order-1")

    for window in windows:
        expect(row(window, "order-1")).to_contain_text("Completed")
    assert sum(bool(streams) for streams, _ in notes) <= 3


def test_a_hidden_page_asks_nothing_and_catches_up(people, open_page):
    scenes.add(timezone.now(), "order-1")
    page = open_page("admin", "/approvals/")
    with page.expect_request(lambda request: is_stream(request) and LIST in request.url):  # not the page's before
        page.goto(LIST)
    streams, ticks = asked(page)
    hide = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(f"Object.defineProperty(document, 'hidden', {{ value: true, configurable: true }}); {hide}")

    complete("order-1")
    scenes.add(timezone.now(), "order-2")
    eventually(lambda: page.evaluate("navigator.locks.query().then((locks) => locks.held.length)") == 0)
    assert (streams, ticks) == ([], [])
    page.evaluate(f"Object.defineProperty(document, 'hidden', {{ value: false, configurable: true }}); {hide}")

    expect(row(page, "order-1")).to_contain_text("Completed")
    expect(page.get_by_role("link", name="Show 1 new instance")).to_be_visible()


def test_a_page_says_that_it_is_stale_and_recovers(people, async_site, open_page, forgiven, monkeypatch):
    # Streams end by themselves before the server is gone: Django leaves the body of what is cut off open.
    monkeypatch.setattr(answering, "STREAM_SECONDS", 0.5)
    monkeypatch.setattr(answering, "KEEP_ALIVE_SECONDS", 0.1)
    forgiven.update({"ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"})
    scenes.add(timezone.now(), "order-1")
    page = open_page("admin", LIST)

    async_site.stop()
    expect(page.locator("#stale")).to_contain_text("Stale since", timeout=20_000)
    complete("order-1")
    async_site.start()

    expect(page.locator("#stale")).to_be_hidden(timeout=30_000)
    expect(row(page, "order-1")).to_contain_text("Completed")
