"""The web process: asks for each page of the dashboard and reports how long the server takes for it.

In one process and without a network: the time is that of middleware, view, database and template.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urlencode

import django

from benchmarks.protocol import await_go, report

HUB = "trial"
LIST = f"/hubs/{HUB}/instances/"
DEPTH = 200  # pages that "older" is pressed before the page that is measured
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Page:
    """One page that is asked for: its title in the report, and its address. ``is_part`` asks as htmx does."""

    title: str
    path: str
    is_part: bool = False


def listed(title: str, query: str, **more: str) -> Page:
    """The list with a query."""
    return Page(f"list, {title}", f"{LIST}?{urlencode({'q': query, **more})}")


PAGES = (
    Page("list, first page", LIST),
    listed("status, few", "status:suspended"),
    listed("status, most", "status:completed"),
    listed("two statuses", "status:running,failed"),
    listed("orchestrator", "name:close_account"),
    listed("orchestrator, beginning", "name:aud*"),
    listed("orchestrator that there is none of", "name:nothing"),
    listed("orchestrator and status", "name:order_flow status:failed"),
    listed("id, beginning", "id:ord-00*"),
    listed("tag of a third", "tag:region=eu"),
    listed("tag of few", "tag:customer=c-0040"),
    listed("tag of none", "tag:customer=none"),
    listed("last 24 hours", "created:-24h"),
    listed("waiting for a person", "waiting:human"),
    listed("retrying", "retrying"),
    listed("stuck", "stuck"),
    listed("overdue", "overdue"),
    listed("no worker", "no-worker"),
    listed("error text, last 24 hours", 'error:"no such text" created:-24h'),
    listed("version, last 24 hours", "version:none created:-24h"),
    listed("ended, by their end", "status:failed", sort="-completed"),
    listed("by id", "", sort="id"),
    Page("search: ids that begin with", f"{LIST}suggest/?id=ord-0", is_part=True),
    Page("orchestrators to choose from", f"{LIST}names/", is_part=True),
    Page("overview, with histogram", f"/hubs/{HUB}/"),
    Page("workers", f"/hubs/{HUB}/workers/"),
    Page("orchestrators", f"/hubs/{HUB}/flows/"),
    Page("one orchestrator", f"/hubs/{HUB}/flows/of/order_flow/"),
    Page("instance of 100,000 events", f"/hubs/{HUB}/i/large/"),
    Page("its history", f"/hubs/{HUB}/i/large/history/"),
)


def main() -> None:
    """Measure every page, and report p50, p95 and the number of queries of each, by ``<title>|<figure>``."""
    arguments = _arguments()
    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client

    from durable_admin.loaded_code import keep_out_of_collections

    user, _ = User.objects.get_or_create(username="bench", defaults={"is_superuser": True, "is_staff": True})
    browser = Client(SERVER_NAME="127.0.0.1")
    browser.force_login(user)
    pages = [*PAGES, *_found(browser)]
    keep_out_of_collections()  # as a web process does
    await_go()
    figures: dict[str, float] = {}
    for page in pages:
        for name, value in _measure(browser, page, arguments.requests).items():
            figures[f"{page.title}|{name}"] = value
    report(figures)


def _found(browser: Any) -> Iterator[Page]:
    """What can only be reached by following links: a page deep in the list, and its rows and tick."""
    path, text = LIST, browser.get(LIST).text
    rows = unescape(re.search(r'hx-get="([^"]+/rows/[^"]+)"', text)[1])  # type: ignore[index]
    tick = unescape(re.search(r'data-tick="([^"]+)"', text)[1])  # type: ignore[index]
    yield Page("list, rows again", rows, is_part=True)
    yield Page("list, tick", tick, is_part=True)
    for _ in range(DEPTH):
        older = re.search(r'href="([^"]+)" rel="next"', text)
        if not older:
            return
        path = unescape(older[1])
        text = browser.get(path).text
    yield Page(f"list, {DEPTH} pages on", path)


def _measure(browser: Any, page: Page, requests: int) -> dict[str, float]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    headers = {"HX-Request": "true"} if page.is_part else {}
    with CaptureQueriesContext(connection) as asked:
        answer = browser.get(page.path, headers=headers)
    if answer.status_code not in (200, 204) or b"took too long" in answer.content:
        raise RuntimeError(f"{page.path} was answered with {answer.status_code}")
    if any(" OFFSET " in query["sql"] for query in asked.captured_queries):
        raise RuntimeError(f"{page.path} skips rows that it reads")
    bounds = ("BEGIN", "COMMIT", "SET ")
    queries = sum(not query["sql"].startswith(bounds) for query in asked.captured_queries)
    times = []
    for number in range(WARM_UP + requests):
        began = time.perf_counter()
        browser.get(page.path, headers=headers)
        if number >= WARM_UP:
            times.append(1000 * (time.perf_counter() - began))
    times.sort()
    return {"p50": times[len(times) // 2], "p95": times[int(len(times) * 0.95)], "queries": queries}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
