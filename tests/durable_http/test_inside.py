"""call_http can't reach inside: not at first, not by a redirect, not by a poll, however the address is written."""

from __future__ import annotations

import pytest

from orchestrations.core.http_messages import HttpRequest
from orchestrations.durable_http.addresses import is_public, read_allow_list, read_target
from orchestrations.errors import ConfigurationError, HttpRequestRefused
from tests.durable_http.conftest import Answer, fetch, serving

LITERALS = [
    # loopback and "this host"
    "http://127.0.0.1/",
    "http://127.0.0.1:8000/",
    "http://127.255.255.254/",
    "http://0.0.0.0/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]:8000/",
    # private, shared, link-local with the clouds' metadata
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://100.100.100.200/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials",
    "http://168.63.129.16/machine",
    "http://192.0.0.192/opc/v2/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    # multicast, broadcast, documentation, benchmarks, reserved
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://255.255.255.255/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://198.18.0.1/",
    "http://240.0.0.1/",
    "http://192.88.99.1/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    # IPv4 inside IPv6: mapped, compatible, NAT64, 6to4, Teredo
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::808:808]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    # notations that the system's resolver understands
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.0.0.1./",
    "http://0/",
    "http://1.2.3.4.5/",
    # what looks like another host
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "http://127\u30020\u30020\u30021/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%2f.example.test/",
    "http://[fe80::1%25eth0]/",
    "http://user@127.0.0.1/",
    "http://example.test@127.0.0.1/",
    "http://example.test:pw@127.0.0.1/",
    "http://example.test\\@127.0.0.1/",
    "http://127.0.0.1#@example.test/",
    "http://127.0.0.1?@example.test/",
    # other schemes, and none
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "ftp://example.test/",
    "ws://127.0.0.1/",
    "data:text/plain,hi",
    "unix:/run/docker.sock",
    "http:///",
    "http:127.0.0.1/",
    "//127.0.0.1/",
    # ports of mail, shells and name servers, on a public address too
    "http://8.8.8.8:25/",
    "http://8.8.8.8:22/",
    "http://8.8.8.8:53/",
    "http://8.8.8.8:0/",
    "http://8.8.8.8:99999/",
]
BEHIND_A_NAME = {
    "loopback.test": ["127.0.0.1"],
    "localhost.test": ["::1"],
    "private.test": ["10.1.2.3"],
    "metadata.test": ["169.254.169.254"],
    "mapped.test": ["::ffff:10.0.0.1"],
    "scoped.test": ["fe80::1%eth0"],
    "mixed.test": ["8.8.8.8", "127.0.0.1"],
    "mixed6.test": ["2606:4700::1", "fd00::1"],
}
NAMES = [f"http://{name}/" for name in BEHIND_A_NAME]
CORPUS = [*LITERALS, *NAMES]
RELATIVE = {"http:///", "http:127.0.0.1/"}  # in a Location they mean the server that says it
ELSEWHERE = [uri for uri in CORPUS if uri not in RELATIVE]


def test_the_corpus_is_as_large_as_it_says():
    assert len(set(CORPUS)) >= 60


@pytest.fixture(autouse=True)
def meanings(names):
    names.update(BEHIND_A_NAME)


@pytest.mark.parametrize("uri", CORPUS)
def test_no_connection_is_made(uri, spy):
    with pytest.raises(HttpRequestRefused):
        fetch(uri)

    assert spy.connected == []


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_no_redirect_leads_there(uri, server, allow, spy):
    allow(f"127.0.0.1:{server.port}")
    server.answers["/"] = Answer(302, {"Location": header(uri)})

    with pytest.raises(HttpRequestRefused):
        fetch(f"{server.url}/")

    assert spy.connected == [("127.0.0.1", server.port)]


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_no_poll_leads_there(uri, server, allow, spy):
    allow(f"127.0.0.1:{server.port}")
    server.answers["/"] = Answer(202, {"Location": header(uri)})
    first = fetch(f"{server.url}/")
    assert first.poll_at is not None

    with pytest.raises(HttpRequestRefused):
        request = HttpRequest("GET", f"{server.url}/").poll_of(first.poll_at)
        fetch(request.uri)

    assert spy.connected == [("127.0.0.1", server.port)]


def header(uri: str) -> str:
    """The address as a server would send it, in bytes that the test's server writes as Latin-1."""
    return uri.encode().decode("latin-1")


def test_a_name_is_looked_up_once_and_the_connection_goes_where_it_was_checked(names, allow, spy):
    with serving("127.0.0.2") as honest, serving("127.0.0.1", honest.port) as inside:
        allow("127.0.0.2")
        names["rebinding.test"] = [["127.0.0.2"], ["127.0.0.1"]]
        honest.answers["/"] = Answer(body=b"honest")

        answer = fetch(f"http://rebinding.test:{honest.port}/")

        assert answer.response.content == "honest"
        assert names.asked == ["rebinding.test"]
        assert spy.connected == [("127.0.0.2", honest.port)]
        assert honest.received[0].headers["host"] == f"rebinding.test:{honest.port}"
        assert inside.received == []


def test_each_hop_is_looked_up_and_checked_anew(names, allow, server, spy):
    allow("hop.test")
    names["hop.test"] = [["127.0.0.1"], ["127.0.0.1"]]
    names["inside.test"] = ["127.0.0.1"]
    server.answers["/"] = Answer(302, {"Location": f"http://hop.test:{server.port}/on"})
    server.answers["/on"] = Answer(302, {"Location": f"http://inside.test:{server.port}/secret"})

    with pytest.raises(HttpRequestRefused, match=r"inside\.test"):
        fetch(f"http://hop.test:{server.port}/")

    assert server.paths() == ["GET /", "GET /on"]
    assert len(spy.connected) == 2


# The allow-list ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "uri"),
    [
        (["127.0.0.1"], "http://127.0.0.1:{port}/"),
        (["127.0.0.0/8"], "http://127.0.0.1:{port}/"),
        (["127.0.0.1:{port}"], "http://127.0.0.1:{port}/"),
        (["LOCALHOST"], "http://localhost:{port}/"),
        (["localhost:{port}"], "http://localhost.:{port}/"),
        (["127.0.0.0/8"], "http://localhost:{port}/"),
    ],
)
def test_what_the_setting_names_is_reached(entries, uri, names, server, allow):
    names.update({"localhost": ["127.0.0.1"], "localhost.": ["127.0.0.1"]})
    allow(*(entry.format(port=server.port) for entry in entries))
    server.answers["/"] = Answer(204)

    assert fetch(uri.format(port=server.port)).response.status_code == 204


@pytest.mark.parametrize(
    ("entries", "uri"),
    [
        (["127.0.0.1:1"], "http://127.0.0.1:{port}/"),
        (["localhost:1"], "http://localhost:{port}/"),
        (["localhost"], "http://127.0.0.1:{port}/"),
        (["other.test"], "http://localhost:{port}/"),
        (["127.0.0.1"], "http://user@127.0.0.1:{port}/"),
        (["127.0.0.1"], "http://127.1:{port}/"),
    ],
)
def test_and_nothing_beside_it(entries, uri, names, server, allow, spy):
    names["localhost"] = ["127.0.0.1"]
    allow(*entries)

    with pytest.raises(HttpRequestRefused):
        fetch(uri.format(port=server.port))

    assert spy.connected == []


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "a b", "127.1", "http://a.test", "a.test:port", "[::1", "-a.test"])
def test_an_entry_that_means_nothing_is_refused_by_name(entry):
    with pytest.raises(ConfigurationError, match="HTTP_ALLOWED"):
        read_allow_list((entry,))


def test_the_refusal_says_what_to_set_and_shows_no_query(names):
    names["shop.test"] = ["10.0.0.7"]

    with pytest.raises(HttpRequestRefused) as refused:
        fetch("http://shop.test/stock?code=hush")

    assert str(refused.value) == (
        "http://shop.test/stock?…: 'shop.test' is the name of 10.0.0.7, which is no public address. "
        'Where call_http is meant to reach it, name it in DURABLE["HTTP_ALLOWED"].'
    )
    assert refused.value.is_non_retriable


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_reached(address):
    from ipaddress import ip_address

    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("uri", "host", "port"),
    [
        ("https://Example.TEST/p?q#f", "example.test", 443),
        ("http://b\u00fccher.test/", "xn--bcher-kva.test", 80),
        ("http://my_service:8000/", "my_service", 8000),
        ("http://[2606:4700::1]:8080/", "2606:4700::1", 8080),
    ],
)
def test_usual_addresses_are_read(uri, host, port):
    target = read_target(uri)

    assert (target.host, target.port) == (host, port)
    assert "#" not in str(target.url)
