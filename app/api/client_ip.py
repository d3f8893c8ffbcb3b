"""The client's address, used for rate limits only.

Each proxy appends the peer that it has seen to `X-Forwarded-For`, so the list is read from its end.
Entries before the first address that is not of TRUSTED_PROXIES may be invented.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, TypeAlias

from starlette.types import Scope

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

UNKNOWN = "unknown"
_IPV6_PREFIXES = (64, 48)
"""A customer can choose any address of a /64, and a site commonly gets up to a /48 (RFC 6177)."""
_NAT64 = int(IPv6Address("64:ff9b::")) >> 32
"""The prefix of IPv4 clients behind a translator (RFC 6052 section 2.1)."""
_HOP = re.compile(r"\[(?P<v6>[^\]]+)\](:[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}", re.ASCII)


class Client(NamedTuple):
    """What a request counts for: the IPv4 address twice; or the /64 and the /48 of IPv6."""

    address: str
    network: str


class TrustedProxies:
    """The networks whose `X-Forwarded-For` entries are believed."""

    def __init__(
        self, networks: Sequence[Network] = (), on_ignored: Callable[[], None] = lambda: None
    ) -> None:
        """`on_ignored` is called once, for the first header of a peer that is not trusted."""
        self._networks = tuple(networks)
        self._on_ignored = on_ignored

    def client_of(self, scope: Scope) -> Client:
        """The client that a request counts for: the last address that is no trusted proxy.

        A proxy that has written no valid address counts itself. All peers without an address (Unix
        sockets) count as one, `unknown`.
        """
        client = scope.get("client")
        address = _parse(client[0]) if client else None
        if address is None:
            return Client(UNKNOWN, UNKNOWN)
        for position, hop in enumerate(_hops_backwards(scope)):
            if not any(address in network for network in self._networks):
                if position == 0:
                    tell, self._on_ignored = self._on_ignored, lambda: None
                    tell()
                break
            before = _parse(hop)
            if before is None:
                break
            address = before
        return _counted(address)


def _hops_backwards(scope: Scope) -> Iterator[str]:
    # Several fields are one list (RFC 9110 section 5.3), which a client can make long.
    for name, value in reversed(scope["headers"]):
        if name == b"x-forwarded-for":
            yield from reversed(value.decode("latin-1").split(","))


@lru_cache(maxsize=256)  # the address of a proxy comes with every request
def _parse(text: str) -> Address | None:
    text = text.strip(" \t")
    with_port = _HOP.fullmatch(text)
    if with_port is not None:
        text = with_port["v6"] or with_port["v4"]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    number = int(address)  # without the zone
    if number >> 32 == _NAT64:
        return IPv4Address(number & 0xFFFFFFFF)
    # A dual-stack listener sees IPv4 peers in mapped form.
    return address.ipv4_mapped or IPv6Address(number)


def _counted(address: Address) -> Client:
    if isinstance(address, IPv4Address):
        return Client(str(address), str(address))
    networks = (IPv6Network((address, bits), strict=False) for bits in _IPV6_PREFIXES)
    return Client(*map(str, networks))
