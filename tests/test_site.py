"""What the site itself answers: its health, its headers, its static files."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections.abc import Awaitable, Callable

import pytest
from django.db import DatabaseError, connection
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.test import AsyncClient, Client

from durable_admin import arriving_bodies
from durable_admin.middleware import CONTENT_SECURITY_POLICY
from durable_admin.one_thread import OneThreadHandler
from durable_admin.request_ids import RequestIdFilter

pytestmark = pytest.mark.django_db


def test_a_healthy_site_says_so_to_anyone(client):
    response = client.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}
    assert "no-store" in response["Cache-Control"]


def test_a_site_without_its_database_is_not_healthy_and_tells_no_details(client, monkeypatch):
    def refuse() -> None:
        raise DatabaseError("password of durable is hunter2")

    monkeypatch.setattr(connection, "cursor", refuse)

    response = client.get("/healthz")

    assert response.status_code == 503
    assert b"hunter2" not in response.content


@pytest.mark.parametrize("base", ["runtime/webhooks/durabletask", "Runtime/WebHooks/DurableTask", "durabletask"])
def test_both_bases_of_the_management_api_ask_for_a_key(client, settings, base):
    settings.DURABLE = {**settings.DURABLE, "SYSTEM_KEY": "open sesame"}

    assert client.get(f"/{base}/instances").status_code == 401
    assert client.get(f"/{base}/instances", headers={"x-functions-key": "open sesame"}).json() == []


def test_health_changes_nothing(client):
    assert client.post("/healthz").status_code == 405


def test_probes_from_inside_need_no_tls(client, settings):
    settings.SECURE_SSL_REDIRECT = True

    assert Client().get("/healthz").status_code == 200
    assert Client().get("/admin/").status_code == 301


@pytest.mark.parametrize("path", ["/healthz", "/admin/login/", "/no-such-page"])
def test_every_page_runs_the_sites_own_files_only(client, path):
    response = client.get(path)

    assert response["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["X-Frame-Options"] == "DENY"
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_an_answer_names_its_request_as_the_log_does(client, monkeypatch, caplog):
    def refuse() -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(connection, "cursor", refuse)
    caplog.handler.addFilter(RequestIdFilter())

    own, given = client.get("/healthz"), client.get("/healthz", headers={"X-Request-ID": "from-a_proxy-1"})
    logging.getLogger("durable_admin.views").warning("Between two requests")

    names = [getattr(record, "request_id", "") for record in caplog.records if record.name == "durable_admin.views"]
    assert names == [own["X-Request-ID"], "from-a_proxy-1", ""]
    assert given["X-Request-ID"] == "from-a_proxy-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "é", "1\t2"])
def test_a_request_is_named_anew_where_its_own_name_is_none(client, given):
    assert re.fullmatch("[0-9a-f]{32}", client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"])


def test_static_files_are_served_to_both_kinds_of_client(client):
    path = "/static/admin/css/base.css"

    whole = client.get(path)
    later = client.get(path, headers={"If-None-Match": whole["ETag"]})
    part = client.get(path, headers={"Range": "bytes=0-9"})
    under_asgi = asyncio.run(AsyncClient().get(path))

    assert whole["Content-Type"].startswith("text/css")
    assert int(whole["Content-Length"]) == len(whole.content)
    assert later.status_code == 304
    assert part.status_code == 206
    assert part.content == whole.content[:10]
    assert under_asgi.content == whole.content
    assert client.head(path)["Content-Length"] == whole["Content-Length"]


async def under_asgi(
    path: str, method: str = "GET", receive: Callable[[], Awaitable[dict]] | None = None
) -> list[dict]:
    """What the web server is told to send."""
    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"testserver")], "query_string": b""}
    arriving: asyncio.Queue[dict] = asyncio.Queue()
    arriving.put_nowait({"type": "http.request"})
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    await OneThreadHandler()(scope, receive or arriving.get, send)
    return sent


def test_a_request_under_asgi_goes_through_the_site_in_one_thread(client, settings, monkeypatch):
    threads = []
    for middleware in (SecurityMiddleware, XFrameOptionsMiddleware):
        answer = middleware.process_response
        monkeypatch.setattr(
            middleware,
            "process_response",
            lambda *given, answer=answer: threads.append(threading.current_thread()) or answer(*given),
        )

    start, body, *_ = asyncio.run(under_asgi("/accounts/login/"))
    file_start, file_body, *_ = asyncio.run(under_asgi("/static/admin/css/base.css"))

    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"Content-Security-Policy"].decode() == CONTENT_SECURITY_POLICY
    assert b"<form" in body["body"]
    assert file_start["status"] == 200
    assert file_body["body"] == client.get("/static/admin/css/base.css").content
    assert threads[0] is threads[1]
    assert threads[0] is not threading.current_thread()


def test_what_is_no_static_file_is_not_found(client):
    assert client.get("/static/../durable_admin/settings.py").status_code == 404


@pytest.mark.parametrize("urlconf", ["durable_admin.urls", "durable_admin.approval_urls"])
def test_the_address_that_browsers_try_for_an_icon_leads_to_it(client, settings, urlconf):
    settings.ROOT_URLCONF = urlconf
    answer = client.get("/favicon.ico")

    assert client.get(answer.headers["Location"]).headers["Content-Type"] == "image/svg+xml"


def told(sent: list[dict]) -> tuple[int, str]:
    start, body, *_ = sent
    headers = dict(start["headers"])
    assert headers[b"Content-Type"] == b"application/problem+json"
    assert headers[b"Connection"] == b"close", "what is still coming is not read"
    return start["status"], json.loads(body["body"])["code"]


def test_a_body_without_end_is_cut_off_by_the_site_itself(monkeypatch):
    monkeypatch.setattr(arriving_bodies, "REQUEST_BYTES", 1_000)
    chunks = []

    async def receive() -> dict:
        chunks.append(b"x" * 100)
        return {"type": "http.request", "body": chunks[-1], "more_body": True}

    assert told(asyncio.run(under_asgi("/api/instances/", "POST", receive))) == (413, "too_large")
    assert len(chunks) == 11, "nothing is read beyond the limit"


def test_a_body_that_drips_is_cut_off_in_time(monkeypatch):
    monkeypatch.setattr(arriving_bodies, "BODY_SECONDS", 0.05)
    drops = []

    async def receive() -> dict:
        if drops:
            await asyncio.Event().wait()  # for ever
        drops.append(b"x")
        return {"type": "http.request", "body": drops[-1], "more_body": True}

    assert told(asyncio.run(under_asgi("/api/instances/", "POST", receive))) == (408, "too_slow")
    assert drops == [b"x"]


def test_a_client_that_goes_away_while_it_sends_is_answered_nothing():
    async def receive() -> dict:
        return {"type": "http.disconnect"}

    assert asyncio.run(under_asgi("/api/instances/", "POST", receive)) == []
