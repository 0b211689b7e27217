"""The how-to's example for browsers, as it stands, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Error, Page

from orchestrations.interfaces.streams import open_streams
from orchestrations.models import Instance
from tests.functions import registered
from tests.how_to import block
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

MODULE = "/static/how-to.mjs"
EXAMPLE = block("call-the-rest-api", "javascript")


@pytest.fixture
def address(async_site) -> str:
    return f"http://127.0.0.1:{async_site.port}"


@pytest.fixture
def page(people, open_page) -> Page:
    """A page of the site that has the example as a file of its own."""
    with registered():
        page = open_page("admin", "/admin/")  # which has no stream of its own
        page.route(f"**{MODULE}", lambda route: route.fulfill(content_type="text/javascript", body=EXAMPLE))
        yield page


def test_an_orchestration_is_started_and_followed(page, engine):
    instance_id = page.evaluate(
        """async (module) => {
            const { start, follow } = await import(module);
            window.told = [];
            const id = await start("echo", { order: "1042" });
            window.stop = follow(id, (kind, data) => told.push([kind, data]));
            return id;
        }""",
        MODULE,
    )

    ended = "told.some(([kind, data]) => kind === 'status' && data.status === 'Completed')"
    eventually(lambda: page.evaluate(ended), otherwise=lambda: page.evaluate("JSON.stringify(told)"))
    kinds = page.evaluate("told.filter(([kind]) => kind === 'history').map(([, data]) => data.type)")
    assert kinds[0] == "ExecutionStarted"
    assert Instance.objects.get(instance_id=instance_id).input == '{"order":"1042"}'
    eventually(lambda: not open_streams)  # a stream ends with its instance
    page.evaluate("stop()")


def test_a_refusal_is_told_in_words(page, forgiven):
    forgiven.add("status of 400")

    with pytest.raises(Error, match="not a valid choice"):
        page.evaluate("async (module) => (await import(module)).start('nobody', null)", MODULE)
