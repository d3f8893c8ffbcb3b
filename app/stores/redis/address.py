"""From a store's address to a client: one server, a master found by Sentinel, or a cluster."""

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import certifi
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.stores.redis.engine import CONNECTIONS, Client

_SECONDS = 1.0
_SENTINEL_SECONDS = 0.3
_PORTS = {"": 6379, "+cluster": 6379, "+sentinel": 26379}
_ADDRESS = re.compile(
    r"redis(?P<tls>s?)(?P<kind>|\+cluster|\+sentinel)://"
    r"((?P<user>[^:@/?#]*):(?P<password>[^:@/?#]+)@)?"
    r"(?P<hosts>[^@/?#]+)(/(?P<path>[^/?#]*))?"
)
_HOST = re.compile(
    r"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(:(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where the store is. `kind` is how it is deployed; `path` the database or the service."""

    kind: str
    hosts: tuple[tuple[str, int], ...]
    path: str
    tls: bool
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)


def parse(text: str) -> RedisAddress:
    """Take an address apart.

    Raises:
        ValueError: it is none; the text says what one looks like and quotes nothing.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(
            "must be redis[s][+sentinel|+cluster]://[user:password@]host[:port][,…][/…]"
        )
    kind, path = found["kind"], found["path"] or ""
    hosts = tuple(_host(part, _PORTS[kind]) for part in found["hosts"].split(","))
    if kind == "" and (len(hosts) != 1 or not re.fullmatch(r"[0-9]{0,3}", path)):
        raise ValueError("must name one host, and after / the number of a database")
    if kind == "+sentinel" and not path:
        raise ValueError("must name the service after the Sentinels: …/service")
    if kind == "+cluster" and path:
        raise ValueError("must have no path: a cluster has one database")
    return RedisAddress(
        kind=kind,
        hosts=hosts,
        path=path,
        tls=bool(found["tls"]),
        user=unquote(found["user"] or "") or None,
        password=unquote(found["password"] or "") or None,
    )


@asynccontextmanager
async def connected(address: RedisAddress, ca_file: Path | None) -> AsyncIterator[Client]:
    """The client, which connects when it is used; all connections are closed at the end.

    Sentinels are asked without credentials; with TLS where the servers have it.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate.
    """
    tls: dict[str, Any] = {}
    if address.tls:
        authorities = str(ca_file or certifi.where())
        ssl.create_default_context(cafile=authorities)  # now, not at the first connection
        tls = {"ssl": True, "ssl_ca_certs": authorities}
    options = _patience(_SECONDS) | tls
    options |= {
        "username": address.user,
        "password": address.password,
        "max_connections": 2 * CONNECTIONS,
    }
    async with AsyncExitStack() as stack:
        client: Client
        if address.kind == "+cluster":
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            client = RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)
        elif address.kind == "+sentinel":
            asked = _patience(_SENTINEL_SECONDS) | tls
            sentinels = Sentinel(address.hosts, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]  # the library's gap
            for sentinel in sentinels.sentinels:
                stack.push_async_callback(sentinel.aclose)
            client = sentinels.master_for(address.path, **options)
        else:
            ((host, port),) = address.hosts
            client = Redis(host=host, port=port, db=int(address.path or 0), **options)
        stack.push_async_callback(client.aclose)
        yield client


def _patience(seconds: float) -> dict[str, Any]:
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        # Whether a command may be repeated is not for the library to know.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


def _host(text: str, default_port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or default_port) if found else 0
    if found is None or not 0 < port < 65536:  # noqa: PLR2004  # ports end there
        raise ValueError("must name hosts as name, name:port or [address]:port")
    return found["v6"] or found["name"], port
