"""Bodies at the three doors for programs: what isn't read is refused alike, and writes nothing."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.contrib.auth.models import Permission, User
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.test import Client
from django.urls import resolve
from rest_framework.authtoken.models import Token

from orchestrations.models import IncomingWebhook, Instance
from orchestrations.webhooks import keyring
from tests.functions import registered
from tests.interfaces.management_api.conftest import SYSTEM_KEY
from tests.webhooks.test_incoming import SECRET, signed

LIMIT = 1_000  # bytes, in place of the real ones


@dataclass(frozen=True)
class Door:
    """Where a program starts an instance with a body, and how it says who it is."""

    path: str
    headers: Callable[[bytes], dict[str, str]] = field(repr=False)
    body: bytes = b"{}"
    answer: int = 202

    def post(self, body: bytes | None = None, headers: dict[str, str] | None = None, **environ: object) -> HttpResponse:
        sent = self.body if body is None else body
        headers = {**self.headers(sent), **(headers or {})}
        client = Client(enforce_csrf_checks=True)
        return client.generic("POST", self.path, sent, "application/json", headers=headers, **environ)

    def post_chunked(self, body: bytes | None = None) -> HttpResponse:
        """As a server under ASGI hands over a request without Content-Length."""
        sent = self.body if body is None else body
        headers = {
            "Host": "testserver",
            "Transfer-Encoding": "chunked",
            "Content-Type": "application/json",
            **self.headers(sent),
        }
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": self.path, "headers": pairs, "query_string": b""}
        request = ASGIRequest(scope, io.BytesIO(sent))
        found = resolve(self.path)
        response = found.func(request, *found.args, **found.kwargs)
        return response.render() if hasattr(response, "render") else response


@pytest.fixture(params=["api", "management_api", "webhook"])
def door(request, db, settings, monkeypatch) -> Iterator[Door]:
    settings.DURABLE = {"SYSTEM_KEY": SYSTEM_KEY}
    monkeypatch.setattr("orchestrations.interfaces.api.parsers.PAYLOAD_BYTES", LIMIT)
    monkeypatch.setattr("orchestrations.interfaces.management_api.parameters.PAYLOAD_BYTES", LIMIT)
    monkeypatch.setattr("orchestrations.interfaces.webhooks.views.WEBHOOK_BODY_BYTES", LIMIT)
    with registered():
        yield {"api": _api, "management_api": _management_api, "webhook": _webhook}[request.param]()


def _api() -> Door:
    user = User.objects.create_user("ada")
    user.user_permissions.set(Permission.objects.filter(codename="start_instance"))
    token = Token.objects.create(user=user).key
    body = b'{"orchestrator":"echo","input":{}}'
    return Door("/api/instances/", lambda sent: {"Authorization": f"Token {token}"}, body, answer=201)


def _management_api() -> Door:
    path = "/runtime/webhooks/durabletask/orchestrators/echo"
    return Door(path, lambda sent: {"x-functions-key": SYSTEM_KEY})


def _webhook() -> Door:
    row = IncomingWebhook(name="shop", slug="shop", hub="default", orchestrator="echo")
    keyring.set_secret(row, SECRET)
    row.save()
    return Door("/webhooks/in/shop/", signed)


def refused(response: HttpResponse, status: int, code: str) -> str:
    told = json.loads(response.content)
    assert (response.status_code, told.get("code") or told["ExceptionType"]) == (status, code), response.content
    assert not Instance.objects.exists()
    return told.get("detail") or told["Message"]


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip", "x" * 1_000])
def test_a_body_in_a_content_coding_is_refused_and_not_unpacked(door: Door, coding: str) -> None:
    response = door.post(gzip.compress(b" " * 100_000), {"Content-Encoding": coding})

    assert coding[:50] in refused(response, 415, "unsupported_encoding")
    assert response.headers["Accept-Encoding"] == "identity"
    assert len(response.content) < 500


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_that_says_it_is_as_it_is_is_taken(door: Door, coding: str) -> None:
    assert door.post(headers={"Content-Encoding": coding}).status_code == door.answer


def test_a_body_that_is_too_large_is_refused_before_it_is_read(door: Door) -> None:
    unread = io.BytesIO(b" " * 2 * LIMIT)

    refused(door.post(unread.getvalue(), **{"wsgi.input": unread}), 413, "too_large")
    assert unread.tell() == 0


def test_a_body_that_ends_early_is_refused(door: Door) -> None:
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the client is gone")

    refused(door.post(**{"wsgi.input": Gone()}), 400, "incomplete_body")


def test_a_body_without_a_declared_length_is_taken(door: Door) -> None:
    assert door.post_chunked().status_code == door.answer
    assert Instance.objects.get().input == "{}"


def test_a_body_without_a_declared_length_that_is_too_large_is_refused(door: Door) -> None:
    refused(door.post_chunked(b" " * 2 * LIMIT), 413, "too_large")


def test_where_the_server_can_not_read_such_a_body_it_is_not_taken_for_an_empty_one(door: Door) -> None:
    response = door.post(headers={"Transfer-Encoding": "chunked"}, CONTENT_LENGTH="")

    refused(response, 411, "length_required")
