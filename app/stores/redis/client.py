"""The client for one server, or for the master that Sentinels name."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import certifi
from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.store_url import RedisUrl
from app.stores.redis.engine import MAX_CONCURRENT

_TIMEOUT = 1.0
_SENTINEL_TIMEOUT = 0.3


@asynccontextmanager
async def open_client(url: RedisUrl, ca_file: Path | None) -> AsyncIterator[Redis]:
    """Make the client, which connects when it is used; close all connections at the end.

    Sentinels are asked without credentials; with TLS if the servers use it.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate.
    """
    tls: dict[str, Any] = {}
    if url.tls:
        authorities = str(ca_file or certifi.where())
        ssl.create_default_context(cafile=authorities)  # fails here, not at the first connection
        tls = {"ssl": True, "ssl_ca_certs": authorities}
    options = _options(_TIMEOUT) | tls
    options |= {
        "username": url.username,
        "password": url.password,
        "max_connections": 2 * MAX_CONCURRENT,
    }
    async with AsyncExitStack() as stack:
        if url.service is not None:
            asked = _options(_SENTINEL_TIMEOUT) | tls
            sentinels = Sentinel(url.hosts, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]  # the library's gap
            for sentinel in sentinels.sentinels:
                stack.push_async_callback(sentinel.aclose)
            client: Redis = sentinels.master_for(url.service, **options)
        else:
            ((host, port),) = url.hosts
            client = Redis(host=host, port=port, db=url.database, **options)
        stack.push_async_callback(client.aclose)
        yield client


def _options(timeout: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # Whether a command may be repeated is not for the library to decide.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
