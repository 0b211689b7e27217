"""Pictures of every page, to be looked at: ``python -m tests.e2e.screenshots [PAGE ...]``.

Fills a scratch database below ``var/screenshots`` with scenes, serves the site from this process, and takes each page
light and dark, at 1600, 1280 and 390 pixels.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "var" / "screenshots"
WIDTHS = (1600, 1280, 390)
THEMES = ("light", "dark")


def main() -> None:
    """Write the pictures of the pages that are named, or of all."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    database = FOLDER / "scenes.sqlite3"
    os.environ["DATABASE_URL"] = f"sqlite:///{database}"
    os.environ["DJANGO_SETTINGS_MODULE"] = "durable_admin.settings"
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # the browser's driver runs an event loop in this thread
    import django

    django.setup()

    from django.contrib.staticfiles.testing import StaticLiveServerTestCase
    from django.core.management import call_command
    from django.test.testcases import LiveServerThread

    from tests.e2e import scenes
    from tests.e2e.pages import addresses

    call_command("migrate", verbosity=0)
    scenes.build()
    scenes.more()
    pages = addresses()
    if unknown := set(sys.argv[1:]) - set(pages):
        sys.exit(f"No page is called {', '.join(sorted(unknown))}. There are: {', '.join(sorted(pages))}.")
    server = LiveServerThread("127.0.0.1", StaticLiveServerTestCase.static_handler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    try:
        take(f"http://127.0.0.1:{server.port}", {name: pages[name] for name in sys.argv[1:] or pages})
    finally:
        server.terminate()
        for left in FOLDER.glob(f"{database.name}*"):
            left.unlink()


def take(site: str, pages: dict[str, str]) -> None:
    """Take each page in both themes and at both widths."""
    from playwright.sync_api import sync_playwright

    from tests.e2e import scenes
    from tests.e2e.conftest import CHROMIUM, QUIET

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for theme in THEMES:
            for width in WIDTHS:
                context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 820})
                page = context.new_page()
                page.goto(f"{site}/accounts/login/")
                page.screenshot(path=FOLDER / f"login-{theme}-{width}.png")
                page.fill("[name=username]", "admin")
                page.fill("[name=password]", scenes.PASSWORD)
                page.click("main button")
                for name, address in pages.items():
                    page.goto(f"{site}{address}")
                    page.screenshot(path=FOLDER / f"{name}-{theme}-{width}.png", full_page=True)
                context.close()
        browser.close()


if __name__ == "__main__":
    main()
