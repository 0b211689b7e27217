"""Django's admin in a real browser: it works under the site's content security policy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from playwright.sync_api import Page, expect, sync_playwright

from tests import rows

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without them the browser asks hosts of its maker's for things that no test needs.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]


@pytest.fixture
def page(monkeypatch) -> Iterator[Page]:
    # Playwright's synchronous API runs an event loop in this thread; the ORM is used here between its calls only.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield browser.new_page()
        finally:
            browser.close()


def test_the_admin_breaks_no_rule_of_the_content_security_policy(page, live_server):
    get_user_model().objects.create_superuser("root", password="open-sesame")
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(f"{live_server.url}/admin/login/")
    page.fill("#id_username", "root")
    page.fill("#id_password", "open-sesame")
    page.click("input[type=submit]")
    page.wait_for_selector("#content-main")
    people = ("user/", "user/add/", "user/1/change/", "user/1/history/", "group/add/")
    ours = ("instance/", "deadletter/", "incomingwebhook/add/", "outgoingwebhook/add/")
    for path in (*(f"auth/{name}" for name in people), *(f"orchestrations/{name}" for name in ours)):
        page.goto(f"{live_server.url}/admin/{path}")
        page.wait_for_selector("#content")

    assert not complaints


def test_the_admins_scripts_run(page, live_server):
    get_user_model().objects.create_superuser("root", password="open-sesame")
    permission = Permission.objects.order_by("pk").first()
    page.goto(f"{live_server.url}/admin/login/?next=/admin/auth/group/add/")
    page.fill("#id_username", "root")
    page.fill("#id_password", "open-sesame")
    page.click("input[type=submit]")

    # The two lists with arrows between them are made by a script.
    page.select_option("#id_permissions_from", str(permission.pk))
    page.click("#id_permissions_add, #id_permissions_add_link")

    assert page.locator(f"#id_permissions_to option[value='{permission.pk}']").count() == 1


def test_a_browser_runs_no_script_that_is_in_the_page(page, live_server, settings, tmp_path: Path):
    (tmp_path / "404.html").write_text("<title>calm</title><script>document.title = 'taken over'</script>")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]

    page.goto(f"{live_server.url}/no-such-page")

    assert page.title() == "calm"


def test_a_secret_is_made_told_once_and_instances_are_acted_on_with_the_pages_own_means(page, live_server):
    get_user_model().objects.create_superuser("root", password="open-sesame")
    rows.instance("order-1")
    page.goto(f"{live_server.url}/admin/login/?next=/admin/orchestrations/outgoingwebhook/add/")
    page.fill("#id_username", "root")
    page.fill("#id_password", "open-sesame")
    page.click("input[type=submit]")
    page.fill("#id_name", "Billing")
    page.fill("#id_url", "https://billing.example/hook")
    page.check("input[name=events][value=failed]")
    page.click("input[name=_save]")
    assert page.locator("#secret").inner_text().startswith("whsec_")

    page.goto(f"{live_server.url}/admin/orchestrations/instance/")
    page.check("#action-toggle")
    page.select_option("select[name=action]", "terminate")
    page.click("button[name=index]")
    expect(page.locator("textarea[name=reason]")).to_be_focused()
    page.fill("textarea[name=reason]", "a mistake")
    page.fill("input[name=confirm]", "terminate")
    page.click("input[value=Terminate]")
    page.wait_for_selector(".messagelist .success")

    assert page.locator(".messagelist").inner_text() == "Sent to 1 instance."
