"""The shared store: tickets, sessions and bans in Redis or Valkey, for any number of instances.

Every command is one script, so a decision and its write cannot be separated. Nothing is purged:
every key has a time to live.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import certifi
from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.errors import StartupError, StoreUnavailable
from app.events import Events
from app.sessions.ports import Stores
from app.store_url import RedisUrl
from app.stores.redis.bans import RedisBans
from app.stores.redis.engine import MAX_CONCURRENT, TIMEOUT, RedisEngine
from app.stores.redis.maintenance import RedisMaintenance
from app.stores.redis.sessions import RedisSessions
from app.stores.redis.tickets import RedisTickets

_SENTINEL_TIMEOUT = 0.3


@asynccontextmanager
async def open_redis_store(
    url: RedisUrl, *, ca_file: Path | None, events: Events, command_timeout: float = TIMEOUT
) -> AsyncIterator[Stores]:
    """Open the store at this address; close it at the end. `command_timeout` in seconds.

    The service starts even when the server cannot be reached: it is not ready until the server
    can be, and the server is checked then.

    Raises:
        StartupError: one line that says what is wrong with the server or the CA file.
    """
    async with open_client(url, ca_file, command_timeout) as client:
        engine = RedisEngine(client, events, command_timeout)
        maintenance = RedisMaintenance(engine, events)
        with suppress(StoreUnavailable):
            await maintenance.check_server()
        yield Stores(RedisTickets(engine), RedisSessions(engine), RedisBans(engine), maintenance)


@asynccontextmanager
async def open_client(
    url: RedisUrl, ca_file: Path | None, command_timeout: float = TIMEOUT
) -> AsyncIterator[Redis]:
    """Make the client, which connects when it is used; close all connections at the end.

    The client is for one server, or for the master that Sentinels name. Sentinels are asked
    without credentials; with TLS if the servers use it.

    Raises:
        StartupError: `ca_file` cannot be read, or holds no certificate.
    """
    tls = _tls_options(ca_file) if url.tls else {}
    options = {
        **_options(command_timeout),
        **tls,
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


def _tls_options(ca_file: Path | None) -> dict[str, Any]:
    authorities = str(ca_file or certifi.where())
    try:
        ssl.create_default_context(cafile=authorities)  # fails here, not at the first connection
    except OSError as error:
        raise StartupError(f"STORE_CA_FILE: {ca_file} is not a readable CA bundle") from error
    return {"ssl": True, "ssl_ca_certs": authorities}


def _options(timeout: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # Whether a command may be repeated is not for the library to decide.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
