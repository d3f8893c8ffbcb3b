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
Fields = list[tuple[str, str]]


def scope(peer: str | None, fields: Fields) -> dict[str, Any]:
    """A request as the server describes it: field names in lower case, otherwise as sent."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    return {"client": None if peer is None else (peer, 50000), "headers": headers}


def client_of(peer: str | None, *values: str) -> str:
    """The client, where each value came in a field X-Forwarded-For of its own."""
    return PROXIES.client_of(scope(peer, forwarded(*values))).address


def case(name: str, peer: str, fields: Fields, client: str) -> Any:
    return pytest.param(peer, fields, client, id=name)


def forwarded(*values: str) -> Fields:
    return [("X-Forwarded-For", value) for value in values]


@pytest.mark.parametrize(
    ("peer", "fields", "client"),
    [
        case("untrusted-peer", STRANGER, forwarded(CLIENT), STRANGER),
        case("rightmost-untrusted", PROXY, forwarded(f"{CLIENT}, 192.0.2.53, 10.9.9.9"), CLIENT),
        case("spoofed-prefix", PROXY, forwarded(f"127.0.0.1, 10.0.0.2, 8.8.8.8, {CLIENT}"), CLIENT),
        case("two-fields", PROXY, forwarded("8.8.8.8", f"{CLIENT}, 10.0.0.2"), CLIENT),
        case("port", PROXY, forwarded(f"{CLIENT}:65000"), CLIENT),
        case("bracketed-ipv6", PROXY, forwarded("[2001:db8:1:2::9]:443"), "2001:db8:1:2::/64"),
        case("ipv4-mapped", f"::ffff:{PROXY}", forwarded(f"::ffff:{CLIENT}"), CLIENT),
        case("garbage", PROXY, forwarded(f"{CLIENT}, unknown"), PROXY),
        case("300-characters", PROXY, forwarded(f"{CLIENT}, {'1' * 300}"), PROXY),
        case("underscores", PROXY, [("X_Forwarded_For", CLIENT)], PROXY),
        case("forwarded", PROXY, [("Forwarded", f"for={CLIENT}")], PROXY),
        case("x-real-ip", PROXY, [("X-Real-IP", CLIENT), ("X-Client-IP", CLIENT)], PROXY),
    ],
)
def test_the_client_is_who_the_last_trusted_proxy_has_seen(
    peer: str, fields: Fields, client: str
) -> None:
    assert PROXIES.client_of(scope(peer, fields)).address == client


@pytest.mark.parametrize(
    "entry",
    [
        *("", " ", "-", "localhost", "_hidden", f'"{CLIENT}"', "\xb9.2.3.4"),
        *(f"{CLIENT}{odd}" for odd in (":", ":123456", ":http", " 8.8.8.8", "/32")),
        *("198.51.100", "198.51.100.007", "198.51.100.256", "3325256711", "[198.51.100.7]x"),
        *("[]", "[2001:db8::1", "2001:db8::1]", "2001:db8:::1"),
    ],
)
def test_nothing_before_an_invalid_address_is_believed(entry: str) -> None:
    assert client_of(PROXY, f"8.8.8.8, {entry}") == PROXY
    assert client_of(PROXY, f"8.8.8.8, {entry}, 10.0.0.2") == "10.0.0.2"


def test_a_header_that_is_not_believed_is_told_once() -> None:
    told: list[None] = []
    proxies = TrustedProxies([ip_network("10.0.0.0/8")], on_ignored=lambda: told.append(None))
    proxies.client_of(scope(STRANGER, []))
    proxies.client_of(scope(PROXY, forwarded(f"{CLIENT}, 10.0.0.2")))
    assert told == []
    for _ in range(3):
        proxies.client_of(scope(STRANGER, forwarded(CLIENT)))
    assert len(told) == 1


@pytest.mark.parametrize("form", ["{}", " {}\t", "{}:1", "[::ffff:{}]", "[::ffff:{}]:80"])
def test_an_address_may_be_written_in_several_ways(form: str) -> None:
    assert client_of(PROXY, form.format(CLIENT)) == CLIENT


@pytest.mark.parametrize("listed", ["10.0.0.2", "fd00::2", "10.0.0.2, fd00::2"])
def test_the_farthest_of_trusted_proxies_counts(listed: str) -> None:
    farthest = "10.0.0.2" if listed.startswith("10") else "fd00::/64"
    assert client_of(PROXY, listed) == farthest


def test_a_proxy_without_the_header_counts_itself() -> None:
    assert client_of(PROXY) == PROXY


@pytest.mark.parametrize("peer", [None, "", "/run/app.sock", "testclient"])
def test_a_peer_without_an_address_is_unknown_and_never_a_proxy(peer: str | None) -> None:
    assert client_of(peer, CLIENT) == "unknown"


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("64:ff9b::c633:6407", "198.51.100.7"),
        ("64:ff9b::198.51.100.8%eth0", "198.51.100.8"),
        ("64:ff9b:1::c633:6407", "64:ff9b:1::/64"),
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.8", "198.51.100.8"),
    ],
)
def test_ipv6_counts_by_its_64_and_ipv4_by_address(peer: str, counted: str) -> None:
    assert client_of(peer) == counted


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
    assert PROXIES.client_of(scope(peer, [])).network == network


def test_a_proxy_on_ipv6_is_known_by_its_whole_address() -> None:
    one = TrustedProxies([ip_network("2001:db8::1")])
    fields = forwarded(CLIENT)
    assert one.client_of(scope("2001:db8::1", fields)).address == CLIENT
    assert one.client_of(scope("2001:db8::2", fields)).address == "2001:db8::/64"


def test_no_address_is_a_proxy_by_default() -> None:
    client = TrustedProxies().client_of(scope("127.0.0.1", forwarded(CLIENT)))
    assert client.address == "127.0.0.1"


async def test_the_first_login_through_an_unknown_proxy_is_a_warning(
    app: RunningApp, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    headers = {"X-Forwarded-For": CLIENT}
    body = {"ticket": app.ticket()}
    assert (await app.phone.post("/v1/sessions", json=body, headers=headers)).status_code == 201
    assert ("warning", "forwarded_for_ignored") in [(e["level"], e["event"]) for e in log_lines()]
