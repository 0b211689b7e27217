"""The dashboard with the script and the style sheet of production, which its sources are joined into."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from durable_admin.static_files import BUNDLES
from orchestrations.models import Instance
from tests.e2e import scenes
from tests.e2e.looks import faults

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/hubs/default/instances/"
TYPES = {".css": "text/css", ".js": "text/javascript"}


def read(name: str) -> str:
    return (settings.BASE_DIR / "static" / "dashboard" / name).read_text()


@pytest.fixture
def page(people, open_page) -> Page:
    """A page on which only the bundles are served, and none of their other sources."""

    def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        route.fulfill(body=BUNDLES[name](name, read), content_type=TYPES[Path(name).suffix])

    page = open_page("admin", "/approvals/")
    page.route("**/static/dashboard/*", serve)
    return page


def test_pages_work_and_look_as_they_should(page):
    scenes.add(timezone.now(), "order-1")
    page.goto(LIST)
    Instance.objects.update(status="Completed", last_updated_at=timezone.now())
    expect(page.locator("#rows tr .badge")).to_have_text("Completed")
    assert faults(page) == []

    page.keyboard.press("j")
    page.keyboard.press("o")
    page.get_by_role("link", name="Purge…").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
