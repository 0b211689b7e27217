"""A browser on the live site, people signed in, and the engine when a test needs it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from durable_admin.asgi import application
from orchestrations.runtime.drain import Runtime
from tests.e2e import scenes
from tests.waiting import eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without them the browser asks hosts of its maker's for things that no test needs.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
TIMEOUT_MS = 10_000
DRAIN_SECONDS = 0.2
IDLE_SECONDS = 0.05

expect.set_options(timeout=TIMEOUT_MS)

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one module; no longer, for its event loop would be in the way of other modules."""
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's synchronous API runs an event loop in this thread; the ORM is used between its calls only.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def forgiven() -> set[str]:
    """Parts of complaints that a test provokes. A browser also reports every answer that is not 2xx or 3xx."""
    return {"status of 422"}


@pytest.fixture
def complaints(forgiven) -> Iterator[list[str]]:
    """What the browser complained about; a test that ends with any has failed."""
    found: list[str] = []
    yield found
    assert not [text for text in found if not any(part in text for part in forgiven)]


@pytest.fixture
def address(live_server) -> str:
    """Where the site is."""
    return live_server.url


class AsyncSite:
    """The site under uvicorn, in a thread of its own; it can go and come back at the same address."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        config = uvicorn.Config(
            application, port=self.port, lifespan="off", log_config=None, timeout_graceful_shutdown=5
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        eventually(lambda: self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        self._server.run()
        connections.close_all()


@pytest.fixture
def async_site(transactional_db, monkeypatch) -> Iterator[AsyncSite]:
    # Each request has a thread of its own, which would keep its connection after the request.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    site = AsyncSite()
    yield site
    site.stop()


@pytest.fixture
def open_page(browser, address, complaints) -> Iterator[OpenPage]:
    """``open_page("admin", "/approvals/")`` is a page in a window of its own, with that person signed in."""
    contexts = []

    def open_page(
        user: str | None, path: str, *, dark: bool = False, width: int = 1280, javascript: bool = True
    ) -> Page:
        context = browser.new_context(
            base_url=address,
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": 820},
            java_script_enabled=javascript,
        )
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        if user is not None:
            context.add_cookies([session_cookie(user, address)])
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def session_cookie(user: str, url: str) -> Any:
    """The cookie of somebody who has signed in."""
    client = Client()
    client.force_login(User.objects.get(username=user))
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": url}


@pytest.fixture
def site(transactional_db) -> None:
    """A site with a person of each role and an instance in every state."""
    scenes.build()


@pytest.fixture
def people(transactional_db) -> None:
    """A site with people alone; dana, an approver, may look at instances too."""
    scenes.people()
    User.objects.get(username="dana").user_permissions.add(Permission.objects.get(codename="view_instance"))


@pytest.fixture
def engine(transactional_db) -> Iterator[None]:
    """The engine, working in a thread of its own for the length of the test."""
    stop = threading.Event()

    def work() -> None:
        runtime = Runtime()
        while not stop.wait(IDLE_SECONDS):
            runtime.drain(DRAIN_SECONDS)
        runtime.stop()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()
