"""The shared store: tickets, sessions and bans in Redis or Valkey, for any number of instances.

Every command is one script, so a decision and its write cannot be separated. Nothing is purged:
every key has a time to live.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import certifi
from redis.asyncio import Redis, Sentinel
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, SentinelManagedConnection
from redis.backoff import NoBackoff
from typing_extensions import override

from app.errors import StartupError, StoreUnavailable
from app.events import Events
from app.sessions.ports import TOMBSTONE_TTL, Stores
from app.store_url import RedisUrl
from app.stores.redis.bans import RedisBans
from app.stores.redis.engine import MAX_CONCURRENT, TIMEOUT, RedisEngine
from app.stores.redis.history import RedisHistory
from app.stores.redis.maintenance import RedisMaintenance
from app.stores.redis.sessions import RedisSessions
from app.stores.redis.tickets import RedisTickets

_SENTINEL_TIMEOUT = 0.3


@asynccontextmanager
async def open_redis_store(
    url: RedisUrl,
    events: Events,
    command_timeout: float = TIMEOUT,
    feed_ttl: timedelta = TOMBSTONE_TTL,
    history_ttl: timedelta = TOMBSTONE_TTL,
) -> AsyncIterator[Stores]:
    """Open the store at this address; close it at the end. `command_timeout` in seconds.

    The service starts even when the server cannot be reached: it is not ready until the server
    can be, and the server is checked then. StartupError if that or the CA file is unfit.
    """
    async with open_client(url, command_timeout) as client:
        engine = RedisEngine(client, events, command_timeout, history_ttl)
        maintenance = RedisMaintenance(engine, events, feed_ttl)
        with suppress(StoreUnavailable):
            await maintenance.check_server()
        yield Stores(
            RedisTickets(engine),
            RedisSessions(engine),
            RedisBans(engine),
            RedisHistory(engine),
            maintenance,
        )


@asynccontextmanager
async def open_client(url: RedisUrl, command_timeout: float = TIMEOUT) -> AsyncIterator[Redis]:
    """Make the client, which connects when it is used; close all connections at the end.

    The client is for one server, or for the master that Sentinels name. Sentinels are asked with
    their own password; with TLS if the servers use it. A `ca_file` without a certificate is a
    StartupError.
    """
    tls = {"tls": _tls_context(url.ca_file)} if url.tls else {}
    login = {"username": url.username, "password": url.password}
    options = {**_options(command_timeout), **tls, **login, "max_connections": 2 * MAX_CONCURRENT}
    one = TlsConnection if url.tls else Connection
    async with AsyncExitStack() as stack:
        if url.service is not None:
            asked = {**_options(_SENTINEL_TIMEOUT), **tls, "password": url.sentinel_password}
            sentinels = Sentinels(())  # type: ignore[no-untyped-call]  # the library's gap
            for host, port in url.hosts:
                sentinels.sentinels.append(_client(one, host=host, port=port, **asked))
                stack.push_async_callback(sentinels.sentinels[-1].aclose)
            of_master = SentinelTlsConnection if url.tls else SentinelManagedConnection
            client = sentinels.master_for(url.service, connection_class=of_master, **options)
        elif url.socket is not None:
            client = _client(UnixDomainSocketConnection, path=url.socket, **options)
        else:
            ((host, port),) = url.hosts
            client = _client(one, host=host, port=port, db=url.database, **options)
        stack.push_async_callback(client.aclose)
        yield client


class Sentinels(Sentinel):
    """Tells why no Sentinel could be asked: a wrong password or certificate, for example."""

    @override
    async def discover_master(self, service_name: str) -> Any:
        try:
            return await super().discover_master(service_name)
        except MasterNotFoundError:
            await self.sentinels[0].ping()  # raises the reason, if it is not the Sentinel's answer
            raise


class TlsConnection(SSLConnection):
    """Verifies with a context of ours, because the library's trusts the system's list as well."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls


class SentinelTlsConnection(SentinelManagedConnection, TlsConnection):
    """The same for a master that Sentinels name."""


def _client(kind: type[AbstractConnection], **options: Any) -> Redis:
    return Redis.from_pool(ConnectionPool(connection_class=kind, **options))


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    # Not ssl.create_default_context(): it also trusts the file that SSL_CERT_FILE names, and since
    # Python 3.13 it refuses authorities without key identifiers, which private ones often lack.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=ca_file or certifi.where())
    except OSError as error:
        raise StartupError(f"STORE_CA_FILE: {ca_file} is not a readable CA bundle") from error
    return context


def _options(timeout: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # Whether a command may be repeated is not for the library to decide.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
