"""Every page, light and dark, wide and on a phone: accessible, quiet, and never wider than the screen."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e import scenes
from tests.e2e.pages import addresses

pytestmark = pytest.mark.django_db(transaction=True)

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EVERYTHING: dict[str, object] = {"type": "tag", "values": TAGS}
SIZES: dict[str, object] = {
    "type": "rule",
    "values": ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block", "region"],
}
COLOURS: dict[str, object] = {"type": "rule", "values": ["color-contrast"]}
AXE = Axe()
# Passes are neither looked for in detail nor sent over: they are most of the time that axe takes.
RUN = """async rules => (await axe.run({runOnly: rules, resultTypes: ["violations"]})).violations.map(
    ({id, nodes}) => ({id, nodes: nodes.map(({html, failureSummary}) => ({html, failureSummary}))}))"""


def faults(page: Page, rules: dict[str, object] = EVERYTHING) -> list[str]:
    """What axe finds, in a line each."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.axe_script)
    return [
        f"{violation['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for violation in page.evaluate(RUN, rules)
        for node in violation["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


WIDE, PHONE = {"width": 1280, "height": 820}, {"width": 390, "height": 820}


@pytest.mark.parametrize("half", [0, 1])
def test_every_page_is_accessible_and_fits(site, open_page, forgiven, half):
    """Each is opened once, and made narrow and dark where it is: then only what that can break is looked at again."""
    forgiven |= {"status of 409", "status of 404", "status of 410"}
    scenes.more()
    page = open_page("admin", "/prefs/")
    found: dict[str, object] = {}
    for name, path in list(addresses().items())[half::2]:
        page.set_viewport_size(WIDE)
        page.goto(path)
        told = faults(page)
        if wider := overflow(page):
            told.append(f"it is {wider} pixels too wide")
        page.set_viewport_size(PHONE)
        told += [f"on a phone: {fault}" for fault in faults(page, SIZES)]
        if wider := overflow(page):
            told.append(f"it is {wider} pixels too wide on a phone")
        page.emulate_media(color_scheme="dark")
        told += [f"in the dark: {fault}" for fault in faults(page, COLOURS)]
        page.emulate_media(color_scheme="light")
        if told:
            found[name] = told

    assert not found, "\n".join(f"{name}: {fault}" for name, fault in found.items())


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_sign_in_page_is_accessible(transactional_db, open_page, dark):
    page = open_page(None, "/accounts/login/", dark=dark, width=390)

    assert not faults(page)
    page.fill("[name=username]", "nobody")
    page.fill("[name=password]", "wrong")
    page.click("main button")
    expect(page.get_by_role("alert")).to_be_visible()
    assert not faults(page)
    assert not overflow(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_open_dialog_is_accessible(site, open_page, dark):
    page = open_page("admin", "/hubs/default/i/batch-2026-01-20/", dark=dark)
    page.get_by_role("link", name="Terminate…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert not faults(page)

    dialog.get_by_role("button", name="Terminate").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    assert not faults(page)


def test_the_theme_can_be_chosen(site, open_page):
    page = open_page("admin", "/hubs/default/instances/")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(247, 248, 250)"

    page.get_by_role("button", name="Theme: as the system").click()
    page.get_by_role("button", name="Theme: light").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) == "rgb(15, 19, 24)"


def test_hostile_data_runs_nothing(site, open_page):
    from orchestrations.models import Instance

    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    Instance.objects.filter(instance_id="ord-7F3A-0002").update(name=hostile, waiting_for=hostile, blocked_code=hostile)
    Instance.objects.filter(instance_id="clm-1B09").update(error=hostile, blocked_code=hostile)
    dialogs: list[str] = []
    page = open_page("admin", "/hubs/default/instances/")
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))

    for path in ("/hubs/default/instances/", "/hubs/default/i/ord-7F3A-0002/", "/hubs/default/i/clm-1B09/"):
        page.goto(path)
        expect(page.get_by_text("onerror=alert").first).to_be_visible()

    assert not dialogs


def test_the_skip_link_leads_to_the_content(site, open_page):
    page = open_page("admin", "/hubs/default/instances/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


def test_the_timeline_can_be_walked_with_the_keyboard(site, open_page):
    page = open_page("admin", "/hubs/default/i/clm-1B09/")
    span = page.locator("#tab svg a", has_text="charge_card")
    span.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("4 TaskScheduled charge_card")
