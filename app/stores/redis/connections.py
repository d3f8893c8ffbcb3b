"""Connections to one Redis or Valkey, or to the master that Sentinels name."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

import certifi
import hiredis
from redis.asyncio import Redis, Sentinel
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import MasterNotFoundError, SentinelManagedConnection
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError
from typing_extensions import override

from app.errors import StartupError
from app.store_url import RedisUrl
from app.stores.redis.codec import Argument
from app.stores.redis.scripts import Script

Command: TypeAlias = tuple[Argument, ...]

LOST = (ConnectionLost, RuntimeError)
"""No reply came. A RuntimeError is uvloop's, for writing to a connection that has just closed."""
_SILENCE = 0.2
"""Seconds without any reply after which the idle connections are not trusted any more."""
_SENTINEL_TIMEOUT = 0.3
_pack: Any = hiredis.pack_command  # annotated as if a command had one word
_transport_of = attrgetter("_writer.transport")  # these two are not public
_parse_error_of = attrgetter("_parser.parse_error")


class RedisProtocol(asyncio.Protocol):
    """Commands and their replies on a connection of the library, without its streams."""

    def __init__(self, connection: AbstractConnection) -> None:
        self.is_open = True
        self._connection = connection
        self._transport = _transport_of(connection)
        self._parser = hiredis.Reader(replyError=_parse_error_of(connection))
        self._wanted = 0
        self._replies: list[Any] = []
        self._done: asyncio.Future[list[Any]] | None = None
        self._transport.set_protocol(self)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands together; return their replies, errors included, or raise LOST."""
        self._wanted, self._replies = len(commands), []
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(b"".join(map(_pack, commands)))
        replies = await self._done
        self._done = None
        for reply in replies:
            if isinstance(reply, ConnectionLost) or _is_of_a_replica(reply):
                raise ConnectionLost(str(reply))
        return replies

    async def close(self) -> None:
        """Close the connection. A reply that still comes is lost."""
        await self._connection.disconnect(nowait=True)

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            self._replies.append(reply)
        if self._done is None:
            self.is_open = False  # a reply to no command
        elif len(self._replies) == self._wanted and not self._done.done():
            self._done.set_result(self._replies)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionLost("closed"))


class Connections:
    """Sends each command on a connection that no other command uses meanwhile.

    So no reply reaches another caller. A connection on which a command fails or is cancelled is
    closed. The library's own client, pool and streams cost six times as much processor time for a
    command: docs/decisions/0038.
    """

    def __init__(self, make: Callable[[], AbstractConnection]) -> None:
        self._make = make
        self._idle: list[RedisProtocol] = []
        self._last_reply_at = float("-inf")

    async def send(self, *commands: Command) -> list[Any]:
        """Send the commands together; return their replies. The caller limits the time.

        The server's error for the first command is raised; for another, it is its reply. LOST is
        raised if a reply is lost, or if the server is the master no longer.
        """
        sent = time.monotonic()
        try:
            replies = await self._send(commands)
        except BaseException as error:
            # The master is dead or has become a replica. New connections find the new master.
            silent_for = time.monotonic() - max(sent, self._last_reply_at)
            if isinstance(error, LOST) or silent_for > _SILENCE:
                await self.close_idle()
            raise
        self._last_reply_at = time.monotonic()
        if isinstance(replies[0], ResponseError):
            raise replies[0]
        return replies

    async def run(self, script: Script, *args: Argument, then: Sequence[Command] = ()) -> list[Any]:
        """Run the script, then `then`. `args`: the number of keys, the keys and the arguments."""
        try:
            return await self.send(("EVALSHA", script.digest, *args), *then)
        except NoScriptError:  # the server has restarted and forgotten it
            return await self.send(("EVAL", script.text, *args), *then)

    async def close_idle(self) -> None:
        """Close all connections that no command uses."""
        while self._idle:
            await self._idle.pop().close()

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        protocol = await self._open()
        try:
            replies = await protocol.send(commands)
        except BaseException:
            await protocol.close()
            raise
        self._idle.append(protocol)
        return replies

    async def _open(self) -> RedisProtocol:
        while self._idle:
            protocol = self._idle.pop()
            if protocol.is_open:
                return protocol
            await protocol.close()
        connection = self._make()
        await connection.connect()  # type: ignore[no-untyped-call]  # the library's gap
        return RedisProtocol(connection)


def _is_of_a_replica(reply: object) -> bool:
    # Before Redis 7, the error of a script contains that of its command.
    wrapped = isinstance(reply, ResponseError) and "READONLY" in str(reply)
    return wrapped or isinstance(reply, ReadOnlyError)


@asynccontextmanager
async def open_connections(url: RedisUrl) -> AsyncIterator[Connections]:
    """Make connections when they are used; close them all at the end.

    Sentinels are asked with their own password; with TLS if the servers use it. A `ca_file` without
    a certificate is a StartupError.
    """
    # The caller limits the time, so the library need not set a timer for each reply.
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": None,
        "socket_connect_timeout": None,
    }
    if url.tls:
        options["tls"] = _tls_context(url.ca_file)
    kind = TlsConnection if url.tls else Connection
    login = {**options, "username": url.username, "password": url.password}
    async with AsyncExitStack() as stack:
        if url.service is not None:
            options["socket_timeout"] = options["socket_connect_timeout"] = _SENTINEL_TIMEOUT
            options["password"] = url.sentinel_password
            sentinels = Sentinels(())  # type: ignore[no-untyped-call]  # the library's gap
            for host, port in url.hosts:
                pool = ConnectionPool(connection_class=kind, host=host, port=port, **options)
                sentinels.sentinels.append(Redis.from_pool(pool))
                stack.push_async_callback(sentinels.sentinels[-1].aclose)
            of_master = SentinelTlsConnection if url.tls else SentinelManagedConnection
            make = sentinels.master_for(
                url.service, connection_class=of_master, **login
            ).connection_pool.make_connection
        elif url.socket is not None:
            make = partial(UnixDomainSocketConnection, path=url.socket, **login)
        else:
            ((host, port),) = url.hosts
            make = partial(kind, host=host, port=port, db=url.database, **login)
        connections = Connections(make)
        stack.push_async_callback(connections.close_idle)
        yield connections


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
