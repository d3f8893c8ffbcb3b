"""The address that a request counts for: the peer, or the client of trusted proxies."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from app.api.client_ip import TrustedProxies
from tests.support.running_app import RunningApp

PROXY, STRANGER = "10.0.0.1", "203.0.113.9"
CLIENT = "198.51.100.7"
PROXIES = TrustedProxies([ip_network(n) for n in ("10.0.0.0/8", "192.0.2.53", "fd00::/16")])
INVALID = (
    *("", " ", "-", "localhost", "_hidden", f'"{CLIENT}"', "\xb9.2.3.4", "unknown", "1" * 300),
    *(f"{CLIENT}{odd}" for odd in (":", ":123456", ":http", " 8.8.8.8", "/32")),
    *("198.51.100", "198.51.100.007", "198.51.100.256", "3325256711", "[198.51.100.7]x"),
    *("[]", "[2001:db8::1", "2001:db8::1]", "2001:db8:::1"),
)
"""Entries before which nothing is believed."""


def scope(peer: str | None, *values: str, field: str = "X-Forwarded-For") -> dict[str, Any]:
    """A request as the server describes it: field names in lower case, otherwise as sent.

    Each value came in a field of its own.
    """
    headers = [(field.lower().encode(), value.encode("latin-1")) for value in values]
    return {"client": None if peer is None else (peer, 50000), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "values", "client"),
    [
        # The client is the last address before those of trusted proxies.
        (STRANGER, [CLIENT], STRANGER),
        (PROXY, [], PROXY),
        (PROXY, [f"{CLIENT}, 192.0.2.53, 10.9.9.9"], CLIENT),
        (PROXY, [f"127.0.0.1, 10.0.0.2, 8.8.8.8, {CLIENT}"], CLIENT),
        (PROXY, ["8.8.8.8", f"{CLIENT}, 10.0.0.2"], CLIENT),
        (PROXY, ["10.0.0.2"], "10.0.0.2"),
        (PROXY, ["fd00::2"], "fd00::/64"),
        (PROXY, ["10.0.0.2, fd00::2"], "10.0.0.2"),
        *((PROXY, [f"8.8.8.8, {entry}"], PROXY) for entry in INVALID),
        *((PROXY, [f"8.8.8.8, {entry}, 10.0.0.2"], "10.0.0.2") for entry in INVALID),
        # An address may be written in several ways.
        (PROXY, [f" {CLIENT}\t"], CLIENT),
        (PROXY, [f"{CLIENT}:65000"], CLIENT),
        (PROXY, [f"[::ffff:{CLIENT}]"], CLIENT),
        (PROXY, [f"[::ffff:{CLIENT}]:80"], CLIENT),
        (PROXY, ["[2001:db8:1:2::9]:443"], "2001:db8:1:2::/64"),
        (f"::ffff:{PROXY}", [f"::ffff:{CLIENT}"], CLIENT),
        # A peer without an address is unknown and never a proxy.
        *((peer, [CLIENT], "unknown") for peer in (None, "", "/run/app.sock", "testclient")),
        # IPv6 counts by its /64, and IPv4 by its address, also inside of NAT64.
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", [], "2001:db8:1:3::/64"),
        ("::1", [], "::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("64:ff9b::c633:6407", [], "198.51.100.7"),
        ("64:ff9b::198.51.100.8%eth0", [], "198.51.100.8"),
        ("64:ff9b:1::c633:6407", [], "64:ff9b:1::/64"),
        ("198.51.100.8", [], "198.51.100.8"),
    ],
)
def test_a_request_counts_for_its_client(peer: str | None, values: list[str], client: str) -> None:
    assert PROXIES.client_of(scope(peer, *values)).address == client


@pytest.mark.parametrize("field", ["X_Forwarded_For", "Forwarded", "X-Real-IP", "X-Client-IP"])
def test_no_other_field_names_the_client(field: str) -> None:
    for value in (CLIENT, f"for={CLIENT}"):
        assert PROXIES.client_of(scope(PROXY, value, field=field)).address == PROXY


def test_a_header_that_is_not_believed_is_told_once() -> None:
    told: list[None] = []
    proxies = TrustedProxies([ip_network("10.0.0.0/8")], on_ignored=lambda: told.append(None))
    proxies.client_of(scope(STRANGER))
    proxies.client_of(scope(PROXY, f"{CLIENT}, 10.0.0.2"))
    assert told == []
    for _ in range(3):
        proxies.client_of(scope(STRANGER, CLIENT))
    assert len(told) == 1


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("198.51.100.7", "198.51.100.7"),
        ("64:ff9b::c633:6407", "198.51.100.7"),
        (None, "unknown"),
    ],
)
def test_the_network_is_the_48_of_ipv6_and_the_address_of_ipv4(
    peer: str | None, network: str
) -> None:
    assert PROXIES.client_of(scope(peer)).network == network


def test_a_proxy_on_ipv6_is_known_by_its_whole_address() -> None:
    one = TrustedProxies([ip_network("2001:db8::1")])
    assert one.client_of(scope("2001:db8::1", CLIENT)).address == CLIENT
    assert one.client_of(scope("2001:db8::2", CLIENT)).address == "2001:db8::/64"


def test_no_address_is_a_proxy_by_default() -> None:
    assert TrustedProxies().client_of(scope("127.0.0.1", CLIENT)).address == "127.0.0.1"


async def test_the_first_login_through_an_unknown_proxy_is_a_warning(
    app: RunningApp, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    headers = {"X-Forwarded-For": CLIENT}
    body = {"ticket": app.ticket()}
    assert (await app.phone.post("/v1/sessions", json=body, headers=headers)).status_code == 201
    assert ("warning", "forwarded_for_ignored") in [(e["level"], e["event"]) for e in log_lines()]
