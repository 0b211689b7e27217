"""Pictures of every page, to be looked at: ``python -m tests.e2e.screenshots FOLDER [PAGE ...]``.

Fills the empty database that ``DATABASE_URL`` names (it must name one) with scenes, serves the site from this process,
and takes each page light and dark, at 1280 and 390 pixels.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Write the pictures into the folder of the first argument."""
    if not os.environ.get("DATABASE_URL"):
        sys.exit("Set DATABASE_URL to a scratch database: the scenes are written into it.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "durable_admin.settings")
    import django

    django.setup()

    from django.contrib.staticfiles.testing import StaticLiveServerTestCase
    from django.core.management import call_command
    from django.test.testcases import LiveServerThread

    from orchestrations.models import Instance, OpenWait
    from tests.e2e import scenes
    from tests.e2e.pages import PAGES

    call_command("migrate", verbosity=0)
    if not Instance.objects.exists():
        scenes.build()
    folder = Path(sys.argv[1])
    wait = OpenWait.objects.exclude(title="").get()
    pages = {**PAGES, "approval": f"/approvals/default/{wait.instance.instance_id}/{wait.pk}/"}
    chosen = {name: pages[name] for name in sys.argv[2:] or pages}
    server = LiveServerThread("127.0.0.1", StaticLiveServerTestCase.static_handler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        take(f"http://127.0.0.1:{server.port}", chosen, folder)
    finally:
        server.terminate()


def take(site: str, pages: dict[str, str], folder: Path) -> None:
    """Take each page in both themes and at both widths."""
    from playwright.sync_api import sync_playwright

    from tests.e2e import scenes

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for theme in ("light", "dark"):
            for width in (1280, 390):
                context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 820})
                page = context.new_page()
                page.goto(f"{site}/accounts/login/")
                page.screenshot(path=folder / f"login-{theme}-{width}.png")
                page.fill("[name=username]", "admin")
                page.fill("[name=password]", scenes.PASSWORD)
                page.click("main button")
                for name, address in pages.items():
                    page.goto(f"{site}{address}")
                    page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)
                context.close()
        browser.close()


if __name__ == "__main__":
    main()
