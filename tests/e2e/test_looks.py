"""Every page, light and dark, wide and on a phone: accessible, quiet, and never wider than the screen."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from orchestrations.models import HumanTask, Instance
from tests.asking import ask, say
from tests.e2e import scenes
from tests.e2e.looks import faults, on_one_database, overflow, problems
from tests.e2e.pages import addresses

pytestmark = pytest.mark.django_db(transaction=True)


@on_one_database
@pytest.mark.parametrize("half", [0, 1])
def test_every_page_is_accessible_and_fits(site, open_page, forgiven, half):
    forgiven |= {"status of 409", "status of 404", "status of 410"}
    scenes.more()
    page = open_page("admin", "/prefs/")
    found: dict[str, list[str]] = {}
    for name, path in list(addresses().items())[half::2]:
        page.goto(path)
        found[name] = problems(page)

    assert not any(found.values()), "\n".join(f"{name}: {fault}" for name, told in found.items() for fault in told)


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


@on_one_database
def test_pages_that_have_changed_by_themselves_are_accessible_and_fit(site, open_page):
    question = HumanTask.objects.get(instance__instance_id="ord-7F3A-0001")
    list_, one = open_page("admin", "/hubs/default/instances/"), open_page("admin", "/hubs/default/i/mon-31/")
    inbox, asked = open_page("admin", "/approvals/"), open_page("admin", f"/approvals/{question.pk}/")
    overview = open_page("admin", "/hubs/default/")

    now = timezone.now()
    for instance_id in ("mon-31", "ord-7F3A-0002"):
        Instance.objects.filter(instance_id=instance_id).update(
            status="Completed", waits=None, completed_at=now, last_updated_at=now
        )
    ask(scenes.add(now, "ord-new"), "Approve order ord-new")
    say(question, "dana", "I have asked their accountant.")

    expect(list_.locator("#rows tr", has_text="ord-7F3A-0002")).to_contain_text("Completed")
    expect(list_.get_by_role("link", name="Show 1 new instance")).to_be_visible()
    expect(one.locator("#head .badge")).to_have_text("Completed")
    expect(inbox.get_by_role("link", name="Show 1 new question")).to_be_visible()
    expect(asked.locator("#thread")).to_contain_text("their accountant")
    expect(overview.locator("#region-counts")).to_contain_text("Waiting for human 2")
    found = {page.url: problems(page) for page in (list_, one, inbox, asked, overview)}
    assert not any(found.values()), found


def test_the_theme_can_be_chosen(site, open_page):
    page = open_page("admin", "/hubs/default/instances/")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(247, 248, 250)"

    page.get_by_role("button", name="Theme: as the system").click()
    page.get_by_role("button", name="Theme: light").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) == "rgb(15, 19, 24)"


def test_what_is_current_is_told_by_an_outline_where_colours_are_forced(site, open_page):
    page = open_page("admin", "/hubs/default/instances/")
    page.emulate_media(forced_colors="active")
    current = page.locator("[aria-current]")

    outlines = current.evaluate_all("all => all.map(one => getComputedStyle(one).outlineStyle)")

    assert len(outlines) >= 3
    assert set(outlines) == {"solid"}


def test_hostile_data_runs_nothing(site, open_page):
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


@pytest.mark.parametrize(
    "path", ["/hubs/default/", "/approvals/", "/hubs/default/flows/", "/hubs/default/audit/", "/prefs/"]
)
def test_the_navigation_of_a_phone_shows_where_one_is(site, open_page, path):
    page = open_page("admin", path, width=390)

    expect(page.locator(".nav [aria-current]")).to_be_in_viewport(ratio=1)
    assert page.evaluate("scrollY") == 0


def test_the_timeline_can_be_walked_with_the_keyboard(site, open_page):
    page = open_page("admin", "/hubs/default/i/clm-1B09/")
    span = page.locator("#tab svg a", has_text="charge_card")
    span.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("4 TaskScheduled charge_card")
