"""The store's address in the terms of the `limits` library.

The counts have connections of their own: one that is given up in the middle cannot touch a
session's reply, and sessions that wait do not hold up the counts.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
from limits.aio.storage import RedisClusterStorage, RedisSentinelStorage, RedisStorage

KEY_PREFIX = "tg:limit"
_SECONDS = 1.0
"""For what nobody gives up earlier."""
_KINDS: dict[str, tuple[type[RedisStorage], int]] = {
    "": (RedisStorage, 6379),
    "cluster": (RedisClusterStorage, 6379),
    "sentinel": (RedisSentinelStorage, 26379),
}


@asynccontextmanager
async def shared_storage(url: str, ca_file: Path | None = None) -> AsyncIterator[RedisStorage]:
    """Open the counts beside the sessions of this STORE_URL; close their connections at the end.

    The address must have been found good by the store. Nothing is connected yet: that a server is
    not there shows when something is counted. Sentinels are asked without credentials.
    """
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    storage_type, port = _KINDS[kind]
    options = _options(parts.username, parts.password)
    if scheme == "rediss":
        options["ssl_ca_certs"] = str(ca_file or certifi.where())
        if kind:  # the library knows TLS from the address for a single server only
            options["ssl"] = True
    if kind == "sentinel":
        anonymous = {**options, "username": None, "password": None}
        options |= {"sentinel_kwargs": anonymous, "use_replicas": False}
    hosts = _with_ports(parts.netloc.rpartition("@")[2], port)
    uri = f"async+{'redis+' + kind if kind else scheme}://{hosts}{parts.path}"
    storage = storage_type(uri, implementation="redispy", key_prefix=KEY_PREFIX, **options)
    try:
        yield storage
    finally:
        await _close(storage.bridge)


def _options(user: str | None, password: str | None) -> dict[str, Any]:
    # An extra, which who needs no Redis has not installed.
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    return {
        "username": unquote(user or "") or None,
        "password": unquote(password or "") or None,
        "socket_timeout": _SECONDS,
        "socket_connect_timeout": _SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


def _with_ports(hosts: str, default: int) -> str:
    return ",".join(h if re.search(r":\d+$", h) else f"{h}:{default}" for h in hosts.split(","))


async def _close(bridge: Any) -> None:
    # The library has no way to close; these are its clients, as it names them.
    for name in ("storage", "storage_replica", "sentinel"):
        client = getattr(bridge, name, None)
        if client is not None:
            await client.aclose()
