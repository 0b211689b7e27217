"""Bodies at the three doors for programs: what isn't read is refused alike, and writes nothing."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
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
MEGABYTE = 1_000_000
MEMORY = 50 * MEGABYTE  # that a refused request may take beside its body


@dataclass(frozen=True)
class Door:
    """Where a program starts an instance with a body, and how it says who it is."""

    path: str
    headers: Callable[[bytes], dict[str, str]] = field(repr=False)
    before: bytes = b""
    behind: bytes = b""
    place: str = "$"  # of the input in the body
    answer: int = 202

    def around(self, value: bytes) -> bytes:
        return self.before + value + self.behind

    def post(self, body: bytes | None = None, headers: dict[str, str] | None = None, **environ: object) -> HttpResponse:
        sent = self.around(b"{}") if body is None else body
        headers = {**self.headers(sent), **(headers or {})}
        client = Client(enforce_csrf_checks=True)
        return client.generic("POST", self.path, sent, "application/json", headers=headers, **environ)

    def post_chunked(self, body: bytes | None = None) -> HttpResponse:
        """As a server under ASGI hands over a request without Content-Length."""
        sent = self.around(b"{}") if body is None else body
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
def door(request, db, settings) -> Iterator[Door]:
    settings.DURABLE = {"SYSTEM_KEY": SYSTEM_KEY}
    with registered():
        yield {"api": _api, "management_api": _management_api, "webhook": _webhook}[request.param]()


@pytest.fixture
def limits(monkeypatch) -> None:
    monkeypatch.setattr("orchestrations.interfaces.api.parsers.PAYLOAD_BYTES", LIMIT)
    monkeypatch.setattr("orchestrations.interfaces.management_api.parameters.PAYLOAD_BYTES", LIMIT)
    monkeypatch.setattr("orchestrations.interfaces.webhooks.views.WEBHOOK_BODY_BYTES", LIMIT)


@pytest.fixture
def api(db) -> Iterator[Door]:
    with registered():
        yield _api()


def _api() -> Door:
    user = User.objects.create_user("ada")
    user.user_permissions.set(Permission.objects.filter(codename="start_instance"))
    token = Token.objects.create(user=user).key
    envelope = (b'{"orchestrator":"echo","input":', b"}")
    return Door("/api/instances/", lambda sent: {"Authorization": f"Token {token}"}, *envelope, "$.input", answer=201)


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


def test_a_body_that_is_too_large_is_refused_before_it_is_read(door: Door, limits: None) -> None:
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


def test_a_body_without_a_declared_length_that_is_too_large_is_refused(door: Door, limits: None) -> None:
    refused(door.post_chunked(b" " * 2 * LIMIT), 413, "too_large")


def test_where_the_server_can_not_read_such_a_body_it_is_not_taken_for_an_empty_one(door: Door) -> None:
    response = door.post(headers={"Transfer-Encoding": "chunked"}, CONTENT_LENGTH="")

    refused(response, 411, "length_required")


REFUSED_VALUES = {
    "infinite": b"1e400",
    "minus infinite": b"-1e400",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "digits": b"9" * 100_000,
    "digits behind the point": b"1" * 5_000 + b".5",
    "NUL": b'"a\\u0000b"',
    "NUL as it is": b'"a\x00b"',
    "half a pair": b'"\\ud83d"',
    "half a pair between": b'"\\ud83d\\n\\ude00"',
    "half a pair in UTF-8": b'"\xed\xa0\xbd"',
    "no UTF-8": b'"\xff"',
    "overlong": b'"\xc0\x80"',
    "cut off": b'"a',
    "a word": b"undefined",
    "a comment": b"1 // one",
    "single quotes": b"'a'",
}


@pytest.mark.parametrize("value", REFUSED_VALUES.values(), ids=REFUSED_VALUES)
def test_a_value_that_can_not_be_stored_is_refused_with_its_place(door: Door, value: bytes) -> None:
    response = door.post(door.around(b'{"fine":1,"items":[{"name":' + value + b"}]}"))

    assert path_of(response) == f"{door.place}.items[0].name"
    refused(response, 400, code_of_json(door))


@pytest.mark.parametrize("key", [b"\\u0000", b"\\udc00"], ids=["NUL", "half a pair"])
def test_so_is_a_name(door: Door, key: bytes) -> None:
    response = door.post(door.around(b'{"items":{"' + key + b'":1}}'))

    assert path_of(response).startswith(f"{door.place}.items")
    refused(response, 400, code_of_json(door))


@pytest.mark.parametrize("depth", [65, 5_000, 100_000])
@pytest.mark.parametrize("kind", [(b"[", b"1", b"]"), (b'{"a":', b"1", b"}")], ids=["arrays", "objects"])
def test_what_is_nested_too_deep_is_refused_with_its_place(door: Door, depth: int, kind: tuple[bytes, ...]) -> None:
    opening, innermost, closing = kind
    response = door.post(door.around(opening * depth + innermost + closing * depth))

    assert path_of(response).startswith(door.place + ("[0][0]" if opening == b"[" else ".a.a"))
    assert len(response.content) < 2_000
    refused(response, 400, code_of_json(door))


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-32"])
def test_json_in_another_encoding_than_utf_8_is_refused(door: Door, codec: str) -> None:
    body = door.around(b'{"name":"\xc3\xa9"}').decode().encode(codec)

    refused(door.post(body), 400, code_of_json(door))


def test_of_a_repeated_name_the_last_value_counts(door: Door) -> None:
    assert door.post(door.around(b'{"a":1,"a":2}')).status_code == door.answer
    assert json.loads(Instance.objects.get().input or "") == {"a": 2}


def _names(count: int) -> bytes:
    return b",".join(b'"%x":1' % number for number in range(count))


HOSTILE = {
    "a million floats, and one out of range": b"[" + b"1e100," * 1_600_000 + b"1e400]",
    "a million members": b'{"orchestrator":"echo",' + _names(900_000) + b"}",
    "a million tags": b'{"orchestrator":"echo","tags":{' + _names(900_000) + b"}}",
    "ten thousand tags": b'{"orchestrator":"echo","tags":{' + _names(10_000) + b"}}",
    "many empty arrays as a name": b'{"orchestrator":[' + b"[]," * 3 * MEGABYTE + b"1]}",
    "many empty arrays": b"[" + b"[]," * 3 * MEGABYTE + b"1]",
    "ten million brackets": b"[" * 10 * MEGABYTE,
    "ten million digits": b'{"orchestrator":"echo","input":' + b"1" * 10 * MEGABYTE + b"}",
    "a name of ten million characters": b'{"' + b"x" * 10 * MEGABYTE + b'":1}',
    "a string that is never closed": b'{"orchestrator":"echo","input":"' + b"\\" * 10 * MEGABYTE,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_refused_within_bounded_memory(api: Door, body: bytes) -> None:
    api.post(b"{}")  # what a first request loads
    tracemalloc.start()
    try:
        response = api.post(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(response.content)["errors"][0]["path"].startswith("$")
    assert len(response.content) < 20_000, "what was sent does not come back at length"
    assert peak < MEMORY
    assert not Instance.objects.exists()


def path_of(response: HttpResponse) -> str:
    told = json.loads(response.content)
    return told["errors"][0]["path"] if "errors" in told else told.get("path") or told["Path"]


def code_of_json(door: Door) -> str:
    return "invalid_json" if "webhooks/in" in door.path else "payload_rejected"
