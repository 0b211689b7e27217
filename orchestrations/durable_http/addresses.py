"""Which addresses a request may reach: those that are public, and those that the setting HTTP_ALLOWED names.

A name is looked up once, and all of its addresses must be allowed; the connection goes to one of those very addresses,
so that a name that means something else a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import httpx

from orchestrations.core.http_messages import DEFAULT_PORTS, SCHEMES, shown_uri
from orchestrations.errors import ConfigurationError, HttpRequestFailed, HttpRequestRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
FIRST_FREE_PORT = 1024  # below it only those of the web: mail, shells and name servers answer there
GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")
# Within what is global by its prefix: clouds' own services, tunnels of other protocols, documentation, relays.
NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",
            "192.0.0.0/24",
            "192.88.99.0/24",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, once its address has turned out to be one that can be asked for."""

    url: httpx.URL
    host: str  # a name in ASCII, or an address without brackets
    port: int

    @property
    def literal(self) -> Address | None:
        """The host where it is an address."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be reached beside public addresses. A port of None is every port."""

    names: frozenset[tuple[str, int | None]]
    networks: tuple[tuple[Network, int | None], ...]

    def has_name(self, target: Target) -> bool:
        """Whether the target's name is allowed, whatever it stands for."""
        name = target.host.removesuffix(".")
        return (name, None) in self.names or (name, target.port) in self.names

    def has_address(self, address: Address, port: int) -> bool:
        """Whether the address is in an allowed network."""
        return any(
            allowed_port in (None, port) and address.version == network.version and address in network
            for network, allowed_port in self.networks
        )


@lru_cache(maxsize=8)
def read_allow_list(entries: tuple[str, ...]) -> AllowList:
    """Read HTTP_ALLOWED: ``name``, ``name:8000``, ``10.1.0.0/16``, ``127.0.0.1:8000``, ``[::1]:8000``.

    Raises ConfigurationError naming the entry that is none of these.
    """
    names: set[tuple[str, int | None]] = set()
    networks: list[tuple[Network, int | None]] = []
    for entry in entries:
        host, port = _split_port(entry.strip().lower())
        try:
            networks.append((ip_network(host), port))
        except ValueError:
            if not HOST_NAME.fullmatch(host) or _ends_in_number(host):
                raise ConfigurationError(
                    f'DURABLE["HTTP_ALLOWED"] has the entry {entry!r}. Give a name, an address or a network, such as '
                    '"localhost", "127.0.0.1:8000", "[::1]:8000" or "10.1.0.0/16".'
                ) from None
            names.add((host.removesuffix("."), port))
    return AllowList(frozenset(names), tuple(networks))


def read_target(uri: str | httpx.URL) -> Target:
    """Where an address leads. Raises HttpRequestRefused for one that a request can't or mustn't have.

    That is another scheme than http and https, a user or password, a host that is neither a plain name nor an address
    in its usual notation (127.1, 0x7f.1 and 2130706433 are none), or no port.
    """
    shown = shown_uri(str(uri))
    try:
        url = httpx.URL(uri).copy_with(fragment=None)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise HttpRequestRefused(f"{shown} is no address of the web. Pass a whole one.") from error
    if url.scheme not in SCHEMES:
        raise HttpRequestRefused(f"{shown} is not reached by http or https, and nothing else is allowed.")
    if url.userinfo:
        raise HttpRequestRefused(f"{shown} comes with a user. Pass credentials as a header or by token_source.")
    if not _is_address(host) and (not HOST_NAME.fullmatch(host) or _ends_in_number(host)):
        raise HttpRequestRefused(f"{shown} has a host that is neither a plain name nor a usual address.")
    port = DEFAULT_PORTS[url.scheme] if url.port is None else url.port
    if not 0 < port <= 65_535:
        raise HttpRequestRefused(f"{shown} has the port {port}, which is none.")
    return Target(url, host, port)


async def resolve(target: Target, allowed: AllowList) -> list[str]:
    """The addresses that the connection may go to, in the system's order; the name is looked up once.

    Raises HttpRequestRefused where one of them, or the port, is not allowed, and HttpRequestFailed where there is none.
    """
    literal = target.literal
    is_named = allowed.has_name(target)
    found = [str(literal)] if literal is not None else await look_up(target.host, target.port)
    if not is_named:
        for text in found:
            _check_address(target, ip_address(text), allowed)
    if not found:
        raise HttpRequestFailed(f"The name {target.host!r} has no address.")
    return found


async def look_up(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a name. Raises HttpRequestFailed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HttpRequestFailed(f"The name {host!r} could not be looked up: {error}.") from None
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def is_public(address: Address) -> bool:
    """Whether anybody may be expected to reach the address, and nobody's inside is behind it."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in GLOBAL_UNICAST:  # with it go v4-mapped, local, link-local, multicast and loopback ones
            return False
    if any(address.version == network.version and address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _check_address(target: Target, address: Address, allowed: AllowList) -> None:
    if allowed.has_address(address, target.port):
        return
    _check_port(target, target.port >= FIRST_FREE_PORT)
    if not is_public(address):
        what = "is" if target.literal is not None else f"is the name of {address}, which is"
        raise HttpRequestRefused(
            f"{shown_uri(str(target.url))}: {target.host!r} {what} no public address. Where call_http is meant to "
            'reach it, name it in DURABLE["HTTP_ALLOWED"].'
        )


def _check_port(target: Target, is_allowed: bool) -> None:
    if target.port not in DEFAULT_PORTS.values() and not is_allowed:
        raise HttpRequestRefused(
            f"{shown_uri(str(target.url))} has the port {target.port}. Use 80, 443 or one from {FIRST_FREE_PORT} on, "
            'or name host and port in DURABLE["HTTP_ALLOWED"].'
        )


def _is_address(host: str) -> bool:
    try:
        return "%" not in host and ip_address(host) is not None
    except ValueError:
        return False


def _ends_in_number(host: str) -> bool:
    """Whether the system would take it for an address in an old notation."""
    return NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]) is not None


def _split_port(entry: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?", entry)
    if match is None:
        return entry, None  # an IPv6 network without brackets, or nonsense
    return match["six"] or match["host"], int(match["port"]) if match["port"] else None
