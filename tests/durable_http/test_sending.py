"""One request: what is sent, what of the answer is kept, its limits, its redirects, and what no message shows."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import threading
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest

from orchestrations.core.failures import FailureDetails
from orchestrations.core.http_messages import HttpHeaders, HttpRequest, HttpSecret, TokenSource
from orchestrations.durable_http import answers, sending
from orchestrations.errors import HttpRequestFailed, HttpRequestRefused
from orchestrations.limits import HTTP_BODY_BYTES
from tests.durable_http.conftest import Answer, fetch, serving

TOKEN = "a-token-that-nobody-may-see"
SECRET = "a-key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def loopback(allow):
    allow("127.0.0.0/8", "api.test", "other.test", HTTP_SECRETS={"shop": SECRET}, HTTP_TOKEN_SOURCES=SOURCES)


def give_token(resource: str) -> str:
    return f"{TOKEN}-for-{resource}"


async def give_token_async(resource: str) -> str:
    return f"{TOKEN}-for-{resource}"


def give_token_wrapped(resource: str) -> Any:
    return give_token_async(resource)


class Vault:
    def get_token(self, resource: str) -> str:
        return f"{TOKEN}-from-the-vault"


def fail_to_give(resource: str) -> str:
    raise PermissionError(f"{TOKEN} has expired")


def leave(resource: str) -> str:
    raise SystemExit(f"{TOKEN} has expired")


async def leave_async(resource: str) -> str:
    return leave(resource)


def give_lines(resource: str) -> str:
    return f"{TOKEN}\r\nX: y"


SOURCES = {
    "plain": "tests.durable_http.test_sending.give_token",
    "async": "tests.durable_http.test_sending.give_token_async",
    "wrapped": "tests.durable_http.test_sending.give_token_wrapped",
    "class": "tests.durable_http.test_sending.Vault",
    "failing": "tests.durable_http.test_sending.fail_to_give",
    "leaving": "tests.durable_http.test_sending.leave",
    "leaving async": "tests.durable_http.test_sending.leave_async",
    "lines": "tests.durable_http.test_sending.give_lines",
    "missing": "tests.durable_http.test_sending.nothing_of_that_name",
}


# What is sent and what comes back --------------------------------------------------------------------------------


def test_method_headers_and_content_arrive_as_they_were_given(server):
    server.answers["/jobs"] = Answer(201, {"X-Answer": "a", "x-answer": "b"}, "grün".encode())

    answer = fetch(f"{server.url}/jobs?a=b%20c", "PATCH", headers={"X-Mine": "1", "User-Agent": "me"}, content="ümlaut")

    (received,) = server.received
    assert (received.method, received.path, received.body) == ("PATCH", "/jobs?a=b%20c", "ümlaut".encode())
    assert received.headers["x-mine"] == "1"
    assert received.headers["user-agent"] == "me"
    assert received.headers["host"] == f"127.0.0.1:{server.port}"
    assert answer.poll_at is None
    assert (answer.response.status_code, answer.response.content) == (201, "grün")
    assert answer.response.headers["x-answer"] == "a, b"


@pytest.mark.parametrize("status", [200, 204, 304, 400, 401, 404, 500, 503])
def test_every_status_is_an_answer(status, server):
    server.answers["/"] = Answer(status)

    assert fetch(f"{server.url}/").response.status_code == status


def test_a_head_has_no_content(server):
    server.answers["/"] = Answer(200, {"Content-Length": "10"})

    assert fetch(f"{server.url}/", "HEAD").response.content == ""


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", b"\xfc", "ü"),
        ("text/plain; charset=utf-16", "ü".encode("utf-16"), "ü"),
        ("text/plain; charset=nonsense", "ü".encode(), "ü"),
        ("text/plain; charset=idna", b"xn--", "xn--"),
        ("text/plain; charset=unicode_escape", rb"\ud800", r"\ud800"),
        ("application/octet-stream", b"\x00\xff", "\N{REPLACEMENT CHARACTER}" * 2),
        ("", b"a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_content_becomes_text_that_every_database_holds(content_type, body, text):
    assert answers.text_of(body, httpx.Headers({"content-type": content_type})) == text


def test_headers_that_come_several_times_are_joined():
    headers = httpx.Headers([("Vary", "a"), ("vary", "b"), ("X", "c")])

    assert answers.recorded_headers(headers) == {"Vary": "a, b", "X": "c"}


# Limits ----------------------------------------------------------------------------------------------------------


def test_an_answer_of_the_largest_size_is_taken_and_a_larger_one_refused(server):
    server.answers["/fits"] = Answer(body=b"x" * HTTP_BODY_BYTES)
    server.answers["/large"] = Answer(body=b"x" * (HTTP_BODY_BYTES + 1))

    assert len(fetch(f"{server.url}/fits").response.content) == HTTP_BODY_BYTES
    with pytest.raises(HttpRequestRefused, match=r"/large was answered with more than 1,048,576 bytes"):
        fetch(f"{server.url}/large")


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)], ids=["gzip", "deflate"]
)
def test_what_a_server_packs_unasked_is_unpacked_up_to_the_limit(encoding, pack, server):
    server.answers["/small"] = Answer(200, {"Content-Encoding": encoding}, pack(b"hello"))
    server.answers["/bomb"] = Answer(200, {"Content-Encoding": encoding}, pack(b"\0" * 200 * HTTP_BODY_BYTES))
    server.answers["/broken"] = Answer(200, {"Content-Encoding": encoding}, b"no such thing")
    server.answers["/cut"] = Answer(200, {"Content-Encoding": encoding}, pack(b"hello")[:-2])
    server.answers["/odd"] = Answer(200, {"Content-Encoding": "br"}, b"")

    assert fetch(f"{server.url}/small").response.content == "hello"
    with pytest.raises(HttpRequestFailed, match="breaks off"):
        fetch(f"{server.url}/cut")
    tracemalloc.start()
    try:
        for path in ("bomb", "broken", "odd"):
            with pytest.raises(HttpRequestRefused):
                fetch(f"{server.url}/{path}")
        assert tracemalloc.get_traced_memory()[1] < 20 * HTTP_BODY_BYTES
    finally:
        tracemalloc.stop()


def test_gzip_in_several_members_is_unpacked_whole(server):
    member = gzip.compress(b"hello ")
    server.answers["/"] = Answer(200, {"Content-Encoding": "gzip"}, member * 3)
    server.answers["/padded"] = Answer(200, {"Content-Encoding": "gzip"}, member + b"\0" * 10)
    server.answers["/cut"] = Answer(200, {"Content-Encoding": "gzip"}, member + member[:-3])
    server.answers["/bombs"] = Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * HTTP_BODY_BYTES) * 2)

    assert fetch(f"{server.url}/").response.content == "hello " * 3
    assert fetch(f"{server.url}/padded").response.content == "hello "
    with pytest.raises(HttpRequestFailed, match="breaks off"):
        fetch(f"{server.url}/cut")
    with pytest.raises(HttpRequestRefused, match="more than 1,048,576 bytes"):
        fetch(f"{server.url}/bombs")


def test_a_server_that_does_not_answer_in_time_is_a_timeout(server, allow):
    allow("127.0.0.1", HTTP_TIMEOUT_SECONDS=0.1)
    server.answers["/"] = lambda received: server.release.wait(10) and Answer()

    with pytest.raises(TimeoutError, match=r"/\?… was not answered within 0\.1 seconds"):
        fetch(f"{server.url}/?code=hush")


def test_a_server_that_drips_is_a_timeout_too(allow):
    allow("127.0.0.1", HTTP_TIMEOUT_SECONDS=0.2)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                try:
                    while not stop.wait(0.02):
                        connection.sendall(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        with pytest.raises(TimeoutError):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        stop.set()
        dripping.join()


def test_no_connection_is_a_failure_that_may_be_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    with pytest.raises(HttpRequestFailed, match="found no connection") as failed:
        fetch(f"http://127.0.0.1:{port}/")
    assert not FailureDetails.from_exception(failed.value).is_non_retriable


def test_an_address_that_does_not_answer_gives_way_to_the_next(names, server, allow):
    allow("api.test")
    names["api.test"] = ["127.0.0.3", "127.0.0.1"]
    server.answers["/"] = Answer(204)

    assert fetch(f"http://api.test:{server.port}/").response.status_code == 204


def test_an_unknown_name_is_a_failure_that_may_be_tried_again():
    with pytest.raises(HttpRequestFailed, match=r"'nobody\.invalid' could not be looked up") as failed:
        fetch("http://nobody.invalid/")
    assert not isinstance(failed.value, HttpRequestRefused)


def test_an_answer_that_is_no_http_is_a_failure_without_its_text():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(f"{TOKEN}\r\n\r\n".encode())

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(HttpRequestFailed, match=r"was broken off \(RemoteProtocolError\)") as failed:
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        answering.join()
    assert TOKEN not in str(FailureDetails.from_exception(failed.value))


# Redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")],
)
def test_a_redirect_is_followed_with_the_method_that_its_status_asks_for(status, expected, server):
    server.answers["/old"] = Answer(status, {"Location": "new?x=1#part"})
    server.answers["/new"] = Answer(body=b"here")

    answer = fetch(f"{server.url}/old", "POST", content="body", headers={"Content-Type": "text/plain", "X": "y"})

    assert answer.response.content == "here"
    last = server.received[-1]
    assert (last.method, last.path, last.headers["x"]) == (expected, "/new?x=1", "y")
    assert last.body == (b"body" if expected == "POST" else b"")
    assert ("content-type" in last.headers) == (expected == "POST")


def test_a_redirect_without_a_place_is_the_answer(server):
    server.answers["/"] = Answer(302)

    assert fetch(f"{server.url}/").response.status_code == 302


def test_five_redirects_are_followed_and_a_sixth_is_refused(server):
    for number in range(7):
        server.answers[f"/{number}"] = Answer(302, {"Location": f"/{number + 1}"})
    server.answers["/7"] = Answer(204)

    assert fetch(f"{server.url}/2").response.status_code == 204
    with pytest.raises(HttpRequestRefused, match="redirected more than 5 times"):
        fetch(f"{server.url}/1")
    assert server.paths()[-1] == "GET /6"


def test_a_redirect_to_another_origin_carries_no_credentials(server, names):
    with serving() as other:
        names["other.test"] = ["127.0.0.1"]
        server.answers["/same"] = Answer(307, {"Location": "/"})
        server.answers["/"] = Answer(307, {"Location": f"http://other.test:{other.port}/back"})
        other.answers["/back"] = Answer(307, {"Location": f"{server.url}/end"})
        plain = ["authorization", "cookie", "proxy-authorization", "x-functions-key"]
        headers = {**dict.fromkeys(plain, "hush"), "X-Key": HttpSecret("shop"), "X": "y"}

        fetch(f"{server.url}/same", headers=headers)
        fetch(f"{server.url}/", token_source=TokenSource("plain", "r"))

        first, second, end = server.received[0], server.received[1], server.received[2]
        for received in (first, second):
            assert {name: received.headers[name] for name in plain} == dict.fromkeys(plain, "hush")
            assert received.headers["x-key"] == SECRET
        for received in (other.received[0], end):
            assert not {*plain, "x-key"} & received.headers.keys()
            assert received.headers["x"] == "y"
        assert "authorization" in server.received[3].headers
        assert "authorization" not in other.received[1].headers


IDN = "b\u00fccher.test"


def test_a_name_beyond_ascii_stays_the_same_origin(server, names, allow):
    allow("xn--bcher-kva.test", "other.test", HTTP_SECRETS={"shop": SECRET}, HTTP_TOKEN_SOURCES=SOURCES)
    names["xn--bcher-kva.test"] = names["other.test"] = ["127.0.0.1"]
    server.answers["/old"] = Answer(307, {"Location": "/new"})
    server.answers["/new"] = Answer(202, {"Location": f"http://XN--bcher-kva.test:{server.port}/jobs/7?a=%20#b"})
    server.answers["/away"] = Answer(202, {"Location": f"//other.test:{server.port}/jobs/7"})
    given = {"uri": f"http://{IDN}:{server.port}/old", "token_source": TokenSource("plain", "r")}
    request = HttpRequest("POST", headers={"X-Key": HttpSecret("shop"), "Cookie": "hush"}, **given)

    answer = fetch(request.uri, "POST", headers=request.headers, token_source=request.token_source)

    assert server.received[1].headers["x-key"] == SECRET
    assert server.received[1].headers["authorization"].startswith("Bearer ")
    poll = request.poll_of(answer.poll_at)
    assert poll.uri.startswith(f"http://{IDN}:{server.port}/jobs/7?a=%20")
    assert (poll.headers, poll.token_source) == (request.headers, request.token_source)
    away = fetch(f"http://{IDN}:{server.port}/away")
    assert request.poll_of(away.poll_at).headers == {}
    assert request.poll_of(f"http://xn--bcher-kva.test:{server.port}/").headers == {}, "only what is spelled alike"


# Polls -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/jobs/7?x=1", "{url}/jobs/7?x=1"),
        ("7", "{url}/jobs/7"),
        ("?page=2", "{url}/jobs/new?page=2"),
        ("https://other.test/7", "https://other.test/7"),
        ("//other.test/7", "http://other.test/7"),
    ],
)
def test_an_accepted_request_says_where_to_ask_again(location, expected, server):
    server.answers["/jobs/new"] = Answer(202, {"Location": location, "Retry-After": "7"}, b"progress")

    answer = fetch(f"{server.url}/jobs/new", "POST")

    assert answer.poll_at == expected.format(url=server.url)
    assert answer.poll_after_seconds == 7.0
    assert (answer.response.content, dict(answer.response.headers)) == ("", {})


def test_the_place_is_seen_from_where_the_redirects_ended(server):
    server.answers["/a"] = Answer(307, {"Location": "/b/c"})
    server.answers["/b/c"] = Answer(202, {"Location": "7"})

    assert fetch(f"{server.url}/a").poll_at == f"{server.url}/b/7"


def test_without_a_place_or_without_polling_a_202_is_the_answer(server):
    server.answers["/"] = [Answer(202, {}, b"a"), Answer(202, {"Location": "/x"}, b"b")]

    assert fetch(f"{server.url}/").response.content == "a"
    assert fetch(f"{server.url}/", asynchronous_pattern_enabled=False).response.content == "b"


NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30.0),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": "0"}, 1.0),
        ({"Retry-After": "-5"}, 30.0),
        ({"Retry-After": "soon"}, 30.0),
        ({"Retry-After": "1.5"}, 30.0),
        ({"Retry-After": "\u0667"}, 30.0),
        ({"Retry-After": "9" * 5_000}, timedelta(days=365).total_seconds()),
        (
            {"Retry-After": format_datetime(NOW + timedelta(minutes=2), usegmt=True), "Date": format_datetime(NOW)},
            120.0,
        ),
        ({"Retry-After": format_datetime(NOW - timedelta(minutes=2)), "Date": format_datetime(NOW)}, 1.0),
        (
            # The server's clock is off by a year; only the distance counts.
            {"Retry-After": "Wed, 01 Jan 2025 00:01:00 GMT", "Date": "Wed, 01 Jan 2025 00:00:00 GMT"},
            60.0,
        ),
        ({"Retry-After": "Wed, 99 Jan 2025 00:01:00 GMT"}, 30.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert answers.seconds_to_wait(HttpHeaders(headers), 30.0) == seconds


def test_a_date_without_the_servers_clock_is_seen_from_here():
    headers = HttpHeaders({"retry-after": format_datetime(datetime.now(UTC) + timedelta(minutes=2))})

    assert 100 < answers.seconds_to_wait(headers, 30.0) <= 120


def test_the_default_is_a_setting(server, allow):
    allow("127.0.0.1", HTTP_POLL_SECONDS=90)
    server.answers["/"] = Answer(202, {"Location": "/x"})

    assert fetch(f"{server.url}/").poll_after_seconds == 90.0


# Secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "token"),
    [
        ("plain", f"{TOKEN}-for-r"),
        ("async", f"{TOKEN}-for-r"),
        ("wrapped", f"{TOKEN}-for-r"),
        ("class", f"{TOKEN}-from-the-vault"),
    ],
)
def test_a_token_is_fetched_for_each_request_and_goes_over_the_authors_authorization(kind, token, server):
    server.answers["/"] = Answer()

    fetch(f"{server.url}/", headers={"authorization": "Basic x"}, token_source=TokenSource(kind, "r"))

    assert server.received[0].headers["authorization"] == f"Bearer {token}"


def test_a_secret_header_is_put_in_where_it_is_sent(server):
    server.answers["/"] = Answer()

    fetch(f"{server.url}/", headers={"X-Key": HttpSecret("shop")})

    assert server.received[0].headers["x-key"] == SECRET


def test_an_answer_that_repeats_a_secret_is_kept_without_it(server):
    server.answers["/"] = lambda received: Answer(
        401, {"X-Seen": received.headers["authorization"]}, f"{received.headers}".encode()
    )

    answer = fetch(
        f"{server.url}/", headers={"X-Key": HttpSecret("shop")}, token_source=TokenSource("plain", "r")
    ).response

    assert answer.headers["X-Seen"] == "Bearer [redacted]"
    assert TOKEN not in answer.content and SECRET not in answer.content
    assert "'x-key': '[redacted]'" in answer.content


@pytest.mark.parametrize(
    "spell",
    [json.dumps, lambda text: json.dumps(text).replace("/", r"\/"), quote, quote_plus, partial(quote, safe=""), escape],
)
def test_an_answer_that_spells_a_secret_in_its_own_way_is_kept_without_it(spell, server, allow):
    secret = '/h\u00fcsh+"&<=' * 2
    allow("127.0.0.1", HTTP_SECRETS={"shop": secret})
    server.answers["/"] = lambda received: Answer(401, {"X-Seen": quote(secret)}, spell(secret).encode())

    answer = fetch(f"{server.url}/", headers={"X-Key": HttpSecret("shop")}).response

    assert answer.content.strip('"') == answer.headers["X-Seen"] == "[redacted]"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"token_source": TokenSource("other", "r")}, "No token source is named 'other'. Add it to DURABLE"),
        ({"token_source": TokenSource("os.system", "r")}, "No token source is named 'os.system'."),
        ({"token_source": TokenSource("failing", "r")}, "The token source 'failing' raised PermissionError."),
        ({"token_source": TokenSource("leaving", "r")}, "The token source 'leaving' raised SystemExit."),
        ({"token_source": TokenSource("leaving async", "r")}, "The token source 'leaving async' raised SystemExit."),
        ({"token_source": TokenSource("missing", "r")}, "The token source 'missing' raised ImportError."),
        ({"token_source": TokenSource("lines", "r")}, "The token source 'lines' gave something that no header"),
        ({"headers": {"X": HttpSecret("none")}}, "No secret is named 'none'. Add it to DURABLE[\"HTTP_SECRETS\"]"),
    ],
)
def test_credentials_that_can_not_be_had_are_an_error_that_shows_none(fields, message, server, caplog, spy):
    with pytest.raises(HttpRequestFailed) as failed:
        fetch(f"{server.url}/", **fields)

    details = FailureDetails.from_exception(failed.value)
    assert str(failed.value).startswith(message)
    assert TOKEN not in str(details) and SECRET not in str(details) and TOKEN not in caplog.text
    assert spy.connected == []


def test_nothing_of_a_request_is_logged(server, caplog):
    caplog.set_level("DEBUG")
    server.answers["/"] = Answer()

    fetch(
        f"{server.url}/?code=hush-hush",
        headers={"X-Key": HttpSecret("shop"), "Authorization": "Bearer in-the-open"},
        content="private-content",
    )

    for text in (SECRET, "hush-hush", "in-the-open", "private-content"):
        assert text not in caplog.text


# TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate of api.test that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=api.test", "-addext", "subjectAltName=DNS:api.test"),
            *("-out", str(paths[0]), "-keyout", str(paths[1])),
        ],
        check=True,
        capture_output=True,
    )
    return paths


@pytest.mark.parametrize("name", ["api.test", "other.test"])
def test_a_certificate_must_be_that_of_the_name_although_the_connection_goes_to_an_address(
    name, certificate, names, monkeypatch
):
    asked: list[str | None] = []

    def wrap(server):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.sni_callback = lambda connection, sni, _: asked.append(sni)
        server.socket = context.wrap_socket(server.socket, server_side=True)

    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    monkeypatch.setattr(sending, "tls_context", lambda: trusting)
    names[name] = ["127.0.0.1"]
    with serving(wrap=wrap) as server:
        server.answers["/"] = Answer(204)
        uri = f"https://{name}:{server.port}/"
        if name == "api.test":
            assert fetch(uri).response.status_code == 204
        else:
            with pytest.raises(HttpRequestFailed, match="certificate"):
                fetch(uri)
    assert asked == [name]


def test_a_certificate_of_nobody_known_is_refused(certificate, names):
    def wrap(server):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)

    names["api.test"] = ["127.0.0.1"]
    with serving(wrap=wrap) as server, pytest.raises(HttpRequestFailed, match="certificate"):
        fetch(f"https://api.test:{server.port}/")


def test_proxies_of_the_environment_are_not_asked(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answers["/"] = Answer(204)

    assert fetch(f"{server.url}/").response.status_code == 204
