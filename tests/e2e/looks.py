"""What is wrong with the looks of a page: what axe finds, and what is wider than the screen."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connection
from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EVERYTHING: dict[str, object] = {"type": "tag", "values": TAGS}
SIZES: dict[str, object] = {
    "type": "rule",
    "values": ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block", "region"],
}
COLOURS: dict[str, object] = {"type": "rule", "values": ["color-contrast"]}
WIDE, PHONE = {"width": 1280, "height": 820}, {"width": 390, "height": 820}
NARROW = {"width": 320, "height": 820}  # WCAG 1.4.10, of 1280 pixels at 400 %
AXE = Axe()
# Passes are neither looked for in detail nor sent over: they are most of the time that axe takes. It fetches no copies
# of style sheets: none of the rules needs them, and it looks for those that a sheet imports in the wrong place.
RUN = """async rules => (await axe.run({runOnly: rules, resultTypes: ["violations"], preload: false})).violations.map(
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


def problems(page: Page) -> list[str]:
    """What is wrong with the page that is open, wide and on a phone, light and dark.

    It is made narrow and dark where it is: then only what that can break is looked at again.
    """
    page.set_viewport_size(WIDE)
    told = faults(page)
    if wider := overflow(page):
        told.append(f"it is {wider} pixels too wide")
    page.set_viewport_size(PHONE)
    told += [f"on a phone: {fault}" for fault in faults(page, SIZES)]
    if wider := overflow(page):
        told.append(f"it is {wider} pixels too wide on a phone")
    page.set_viewport_size(NARROW)
    if wider := overflow(page):
        told.append(f"it is {wider} pixels too wide at 320 pixels")
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    told += [f"on a phone in the dark: {fault}" for fault in faults(page, COLOURS)]
    page.set_viewport_size(WIDE)
    told += [f"in the dark: {fault}" for fault in faults(page, COLOURS)]
    page.emulate_media(color_scheme="light")
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    if wider := overflow(page):
        told.append(f"it is {wider} pixels too wide with text of twice the size")
    page.evaluate("document.documentElement.style.fontSize = ''")
    return told


on_one_database = pytest.mark.skipif(connection.vendor != "sqlite", reason="pages look the same on every database")
