"""What a page says when the site refuses, fails or is silent, and what becomes of what was typed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import expect

from orchestrations.interfaces.dashboard.views import acts, boards, instances
from orchestrations.models import AuditEntry, HumanTask, HumanVote, Instance, Preferences
from tests import rows
from tests.asking import OrderApproval, ask
from tests.e2e import scenes
from tests.e2e.conftest import session_cookie
from tests.e2e.looks import faults, overflow, problems

pytestmark = pytest.mark.django_db(transaction=True)

ONE = "/hubs/default/i/one/"
LIST = "/hubs/default/instances/"
CALCUTTA = ZoneInfo("Asia/Kolkata")


@pytest.fixture
def forgiven(forgiven) -> set[str]:
    """htmx also writes to the console what failed."""
    return forgiven | {"Response Status Error Code", "htmx:", "status of 401"}


@pytest.fixture
def broken(forgiven):
    """``broken(module, "name")`` makes what views call fail; called, what it returns mends it."""
    forgiven |= {"status of 403", "status of 500"}

    def broken(module, name: str):
        def fail(*_arguments: object, **_options: object) -> None:
            raise RuntimeError("broken for the test")

        patch = pytest.MonkeyPatch()
        patch.setattr(module, name, fail)
        patches.append(patch)
        return patch.undo

    patches: list[pytest.MonkeyPatch] = []
    yield broken
    for patch in patches:
        patch.undo()


def demote() -> None:
    User.objects.filter(username="admin").update(is_superuser=False)


def read_in_calcutta() -> None:
    Preferences.objects.create(user=User.objects.get(username="admin"), time_zone="Asia/Kolkata")


def test_a_dialog_that_may_not_be_opened_says_why(people, open_page, broken):
    rows.instance("one")
    page = open_page("admin", ONE)
    opener = page.get_by_role("link", name="Terminate…")
    demote()

    opener.click()

    dialog = page.get_by_role("dialog", name="That could not be opened")
    expect(dialog.get_by_role("alert")).to_contain_text("needs the permission orchestrations.terminate_instance")
    expect(dialog.get_by_role("alert")).to_contain_text("status 403")
    expect(dialog.get_by_role("button", name="Try again")).to_be_focused()
    assert not faults(page)
    dialog.get_by_role("button", name="Close").click()
    expect(opener).to_be_focused()


def test_a_dialog_that_fails_to_open_is_opened_by_trying_again(people, open_page, broken, caplog):
    read_in_calcutta()
    rows.instance("one")
    page = open_page("admin", ONE)
    mend = broken(acts, "legal_actions")

    page.get_by_role("link", name="Terminate…").click()

    alert = page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text("The error is in the site's log")
    there = datetime.now(UTC).astimezone(CALCUTTA)
    expect(alert).to_contain_text(re.compile(rf"At {there:%H}:\d\d:\d\d"))
    request_id = alert.locator(".mono").inner_text()
    assert request_id in {getattr(record, "request_id", "") for record in caplog.records}
    mend()
    page.get_by_role("button", name="Try again").press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Reason")).to_be_focused()
    expect(alert).to_have_count(0)


@pytest.mark.parametrize("status", [403, 500])
def test_a_form_in_a_dialog_that_fails_keeps_what_was_typed(people, open_page, broken, status):
    rows.instance("one")
    page = open_page("admin", ONE)
    page.get_by_role("link", name="Suspend…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("vendor outage")
    if status == 403:
        demote()
    else:
        mend = broken(acts, "client_of")

    dialog.get_by_role("button", name="Suspend").click()

    alert = dialog.get_by_role("alert")
    expect(alert).to_contain_text(f"status {status}")
    expect(dialog.get_by_label("Reason")).to_have_value("vendor outage")
    assert not problems(page)
    if status == 403:
        User.objects.filter(username="admin").update(is_superuser=True)
    else:
        expect(alert).to_contain_text("Whether it was done is not known")
        mend()
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog).to_be_hidden()
    assert AuditEntry.objects.get().reason == "vendor outage"


def test_a_filter_that_fails_says_so_above_the_old_results(people, open_page, broken):
    rows.instance("one")
    page = open_page("admin", LIST)
    mend = broken(instances, "results")

    page.get_by_label("Query").fill("id:nothing")
    page.get_by_label("Query").press("Enter")

    alert = page.locator("#results").get_by_role("alert")
    expect(alert).to_contain_text("status 500")
    expect(page.locator("#rows tr")).to_have_count(1)
    assert not problems(page)
    page.set_viewport_size({"width": 390, "height": 820})
    assert overflow(page) <= 0
    mend()
    alert.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("No instance matches")).to_be_visible()
    expect(alert).to_have_count(0)


def test_an_answer_in_place_that_is_refused_says_so_and_stays(people, open_page, broken):
    ask("one", "Pay?", users=["admin"], form=OrderApproval)
    page = open_page("admin", ONE)
    page.get_by_label("Approve").check()
    HumanTask.objects.update(assignment='{"users": ["dana"], "exclude": ["admin"]}')

    page.get_by_role("button", name="Send decision").click()

    expect(page.locator(".ask").get_by_role("alert")).to_contain_text("status 403")
    expect(page.get_by_label("Approve")).to_be_checked()
    assert not HumanVote.objects.exists()


def test_a_form_that_nobody_took_says_that_it_is_not_known(people, open_page, broken, forgiven):
    forgiven.add("ERR_FAILED")
    rows.instance("one")
    page = open_page("admin", ONE)
    page.get_by_role("link", name="Suspend…").click()
    page.route("**/do/suspend/", lambda route: route.abort())

    page.get_by_role("dialog").get_by_role("button", name="Suspend").click()

    alert = page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text("The site could not be reached. Whether it was done is not known")


def test_a_region_that_fails_by_itself_says_since_when_and_leaves_its_neighbours(people, open_page, broken):
    page = open_page("admin", "/hubs/default/")
    page.get_by_role("heading", level=1).wait_for()
    before = page.locator("main section").count()
    broken(boards.OVERVIEW.__class__, "region")

    page.evaluate("htmx.trigger(document.body, 'dash:attention')")

    alert = page.locator("#region-attention").get_by_role("alert")
    expect(alert).to_contain_text("status 500")
    said = alert.inner_text()
    page.evaluate("htmx.trigger(document.body, 'dash:attention')")
    page.wait_for_load_state("networkidle")
    assert alert.inner_text() == said
    assert page.locator("main section").count() == before


def end_sessions() -> None:
    Session.objects.all().delete()


def typed_into(page, text: str):
    page.get_by_label("Reject").check()
    page.locator("[data-answer]").get_by_label("Reason").fill(text)


def sign_in(page) -> None:
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(scenes.PASSWORD)


@pytest.fixture
def question(people) -> str:
    return f"/approvals/{ask('one', 'Pay?', users=['admin'], form=OrderApproval).pk}/"


def test_a_session_that_ends_leaves_what_was_typed_and_the_form_signs_in_on_the_way(question, open_page):
    page = open_page("admin", question)
    typed_into(page, "no receipt")
    end_sessions()

    banner = page.locator("#signed-out")
    expect(banner).to_contain_text("You are signed out. What you typed is still here")
    assert not problems(page)
    expect(page.locator("[data-answer]").get_by_label("Reason")).to_have_value("no receipt")
    page.get_by_role("button", name="Send decision").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You were signed out")
    sign_in(page)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_text("You are signed in again")).to_be_focused()
    expect(page.locator("[data-answer]").get_by_label("Reason")).to_have_value("no receipt")
    expect(page.get_by_label("Reject")).to_be_checked()
    assert not HumanVote.objects.exists()
    page.get_by_role("button", name="Send decision").click()
    expect(page.locator("#state")).to_contain_text("admin rejected this")
    assert "no receipt" in HumanVote.objects.get().data


def test_who_signs_in_in_another_window_comes_back_to_what_was_typed(question, open_page):
    page = open_page("admin", question)
    typed_into(page, "no receipt")
    end_sessions()
    banner = page.locator("#signed-out")
    expect(banner).to_be_visible()

    with page.context.expect_page() as opened:
        banner.get_by_role("link", name="sign in").click()
    other = opened.value
    sign_in(other)
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("heading", name="Pay?")).to_be_visible()
    other.close()
    page.evaluate("dispatchEvent(new Event('focus'))")

    expect(banner).to_be_hidden()
    page.get_by_role("button", name="Send decision").click()
    expect(page.locator("#state")).to_contain_text("admin rejected this")


def test_a_page_on_which_nothing_was_typed_leads_to_the_sign_in_page(question, open_page):
    page = open_page("admin", question)
    end_sessions()

    page.wait_for_url(f"**/accounts/login/?next={question}")


def test_an_act_in_the_dialog_signs_in_on_the_way_and_is_done(people, open_page):
    rows.instance("one", status="Completed", completed_at=timezone.now())
    page = open_page("admin", ONE)
    page.get_by_role("link", name="Tags").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tags").fill("tier=gold")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)

    dialog.get_by_role("button", name="tags").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("You were signed out")
    sign_in(page)
    page.get_by_role("button", name="Sign in and send").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("one")
    assert Instance.objects.get().tags == {"tier": "gold"}


class Elsewhere(BaseHTTPRequestHandler):
    """Another site: where people sign in, but for the form."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title><link rel=icon href=data:,>Who are you?")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def elsewhere(settings) -> Iterator[str]:
    """The address at which people sign in, on another site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.LOGIN_URL = f"http://127.0.0.1:{server.server_port}/in?tenant=acme"
    yield settings.LOGIN_URL
    server.shutdown()
    server.server_close()


def sign_in_elsewhere(page, link, address: str, elsewhere: str) -> None:
    with page.context.expect_page() as opened:
        link.click()
    opened.value.wait_for_url(f"{elsewhere}&next={quote(address)}**")
    opened.value.close()
    token = {"name": settings.CSRF_COOKIE_NAME, "value": "f" * 32, "url": address}
    page.context.add_cookies([session_cookie("admin", address), token])
    page.evaluate("dispatchEvent(new Event('focus'))")


def test_a_live_page_leads_to_the_site_where_people_sign_in(question, elsewhere, open_page, address):
    page = open_page("admin", question)
    end_sessions()

    page.wait_for_url(f"{elsewhere}&next={quote(address + question)}")


def test_what_was_typed_is_sent_by_who_signs_in_elsewhere(question, elsewhere, open_page, address):
    page = open_page("admin", question)
    typed_into(page, "no receipt")
    end_sessions()
    banner = page.locator("#signed-out")
    expect(banner).to_be_visible()

    sign_in_elsewhere(page, banner.get_by_role("link", name="sign in"), address, elsewhere)

    expect(banner).to_be_hidden()
    page.get_by_role("button", name="Send decision").click()
    expect(page.locator("#state")).to_contain_text("admin rejected this")


def test_a_form_that_was_sent_too_late_is_sent_by_who_signs_in_elsewhere(question, elsewhere, open_page, address):
    page = open_page("admin", question)
    typed_into(page, "no receipt")
    end_sessions()
    expect(page.locator("#signed-out")).to_be_visible()
    page.get_by_role("button", name="Send decision").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You were signed out")
    assert not problems(page)

    sign_in_elsewhere(page, page.get_by_role("link", name="Sign in"), address, elsewhere)

    expect(page.get_by_role("link", name="Sign in")).to_be_hidden()
    page.get_by_role("button", name="Look it over").click()
    expect(page.locator("[data-answer]").get_by_label("Reason")).to_have_value("no receipt")
    page.get_by_role("button", name="Send decision").click()
    expect(page.locator("#state")).to_contain_text("admin rejected this")
