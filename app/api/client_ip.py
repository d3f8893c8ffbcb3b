"""The client's address, used for rate limits only.

Of `X-Forwarded-For`, only the part written by TRUSTED_PROXIES is believed; no other header is read.
Each proxy appends the peer it has seen, so the list is read from its end. Entries before the first
untrusted address may be invented.
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
_ADDRESS_BITS = 64
"""An IPv6 customer can choose any address of a /64, so all of it counts as one."""
_NETWORK_BITS = 48
"""The largest IPv6 prefix that one site commonly gets (RFC 6177): 65,536 times a /64."""
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
        """The client that a request counts for; `unknown` if the peer has no address.

        It is the last address that is no trusted proxy. If a proxy has written no valid address,
        that proxy counts, because entries before it cannot be believed. A peer without an address
        (a Unix socket) is no trusted proxy; all of them count as one.
        """
        client = scope.get("client")
        address = _parse(client[0]) if client else None
        if address is None:
            return Client(UNKNOWN, UNKNOWN)
        for position, hop in enumerate(_hops_backwards(scope)):
            if not self._trusts(address):
                if position == 0:
                    tell, self._on_ignored = self._on_ignored, lambda: None
                    tell()
                break
            before = _parse(hop)
            if before is None:
                break
            address = before
        return _counted(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _hops_backwards(scope: Scope) -> Iterator[str]:
    # Several fields are one list (RFC 9110 section 5.3). Read lazily, because a client can make
    # it long.
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
    prefixes = (_ADDRESS_BITS, _NETWORK_BITS)
    return Client(*(str(IPv6Network((int(address), bits), strict=False)) for bits in prefixes))
