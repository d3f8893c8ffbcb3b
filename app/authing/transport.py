"""The HTTP transport to Authing and its errors: aiohttp's connections and parser.

The only module that knows the HTTP engine (docs/decisions/0034). Nothing is read from the
environment (proxies, trust stores, key logs, netrc), because the pool secret is sent here.
"""

import asyncio
import socket
import ssl
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import certifi
from aiohttp.abc import ResolveResult
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from typing_extensions import override
from yarl import URL

from app.errors import AuthingBadAnswer, AuthingError, AuthingUnavailable, AuthingUntrusted, Outcome

LookUp: TypeAlias = Callable[
    [str, int, socket.AddressFamily], Coroutine[Any, Any, list[ResolveResult]]
]
"""Resolves a host name for a port and an address family; raises OSError."""

MAX_BODY = 256 * 1024
_LOOKUP_SECONDS = 1.5
_CONNECT_SECONDS = 2.0  # name lookup, TCP, TLS and the wait for a free connection together
_IDLE_SECONDS = 15.0
_CONNECT = aiohttp.ClientTimeout(connect=_CONNECT_SECONDS, sock_connect=_CONNECT_SECONDS)
_INFORMATIONAL = frozenset(range(100, 200)) - {101}
CLIENT_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, UnicodeError)

# The first matching row decides.
_ERROR_MAP: tuple[tuple[tuple[type[Exception], ...], type[AuthingError], Outcome], ...] = (
    ((aiohttp.ClientSSLError, ssl.SSLError), AuthingUntrusted, "tls"),
    ((aiohttp.ClientConnectorDNSError,), AuthingUnavailable, "dns"),
    ((aiohttp.ConnectionTimeoutError,), AuthingUnavailable, "connect_timeout"),
    ((aiohttp.ClientConnectorError,), AuthingUnavailable, "connect_refused"),
    ((aiohttp.ClientConnectionError, OSError), AuthingUnavailable, "reset"),
    # The remaining errors mean that the peer sent something other than HTTP.
    ((Exception,), AuthingBadAnswer, "bad_framing"),
)


@dataclass(frozen=True, slots=True)
class Response:
    """A final response. A body of more than MAX_BODY bytes is cut somewhere behind this limit."""

    status: int
    headers: Mapping[str, str]  # by names in lower case; one value of a repeated header
    body: bytes = field(repr=False)


class Transport(AbstractAsyncContextManager["Transport"]):
    """Sends requests of one event loop. The end of its context closes all connections."""

    @abstractmethod
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        """Send one request once, with Host and Content-Length, and read its response."""


class AuthingTransport(Transport):
    """The transport of all calls to Authing: aiohttp's connections and parser, without its session.

    It has no code that follows redirects or keeps cookies. Only the time to connect is limited
    (2 s); the caller sets the `deadline` of the whole call. Only the certificate authorities of
    `ca_file` are trusted (OSError if it holds none); without it, those of Mozilla's list in
    certifi, which is the same on every machine. `look_up` replaces the system's resolver.
    """

    def __init__(
        self, ca_file: Path | None, connections: int = 160, look_up: LookUp | None = None
    ) -> None:
        self.tls = _tls(ca_file)
        self._connections = connections
        self._look_up = look_up
        self._connector: aiohttp.TCPConnector | None = None
        self._origins: dict[URL, aiohttp.ClientRequest] = {}

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        target = URL(url)
        connection = await self._connect(target.origin())
        protocol: Any = connection.protocol
        try:
            protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            protocol.transport.write(_head(method, target, headers, len(body)) + body)
            message, content = await protocol.read()
            while message.code in _INFORMATIONAL:
                message, content = await protocol.read()
            # A redirect or a 5xx decides alone: its body may be slow, or without end.
            received = b"" if message.code // 100 in (3, 5) else await _read(content)
        except BaseException:
            connection.close()
            raise
        connection.release()  # closes it, if the response was not read to its end
        return Response(message.code, message.headers, received)

    @override
    async def __aexit__(self, *_error: object) -> None:
        if self._connector is not None:
            await self._connector.close()

    async def _connect(self, origin: URL) -> Connection:
        """Return a connection on which nothing has arrived since its last response.

        Bytes that arrive between two requests would be taken for the next response, and the next
        user would be signed in as another user. aiohttp itself does not check this.
        """
        if self._connector is None:
            self._connector = aiohttp.TCPConnector(
                limit=self._connections,
                ssl=self.tls,
                resolver=_BoundedResolver(self._look_up),
                keepalive_timeout=_IDLE_SECONDS,
            )
        if origin not in self._origins:  # all origins come from the settings
            loop = asyncio.get_running_loop()
            self._origins[origin] = aiohttp.ClientRequest("GET", origin, loop=loop)
        # Two rounds of the event loop: one to notice arrived bytes, one to read them.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while True:
            try:
                connection = await self._connector.connect(self._origins[origin], [], _CONNECT)
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError from error
            protocol: Any = connection.protocol
            if not protocol.should_close:
                return connection
            connection.close()


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = await content.readany()
    while len(body) <= MAX_BODY and not content.at_eof():
        body += await content.readany()
    return body


def _head(method: str, target: URL, headers: Mapping[str, str], length: int) -> bytes:
    """Write the head of a request (RFC 9112 section 3); UnicodeError for a line break in it."""
    lines = [f"{method} {target.raw_path_qs} HTTP/1.1", f"host: {target.host_port_subcomponent}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if length:
        lines.append(f"content-length: {length}")
    if not "".join(lines).isprintable():
        raise UnicodeError
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def map_client_error(exc: Exception) -> AuthingError:
    """Return the AuthingError that one of CLIENT_ERRORS stands for. It has no text of it."""
    return next(error(outcome) for kinds, error, outcome in _ERROR_MAP if isinstance(exc, kinds))


class _BoundedResolver(aiohttp.ThreadedResolver):
    """Limits a name lookup to less than the time to connect.

    In aiohttp all connections to a host wait for one lookup, and the system's lookup can take half
    a minute. Logins would fail for that long after the name service has recovered.
    """

    def __init__(self, look_up: LookUp | None) -> None:
        super().__init__()
        self._look_up = look_up or super().resolve

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                return await self._look_up(host, port, family)
        except TimeoutError as error:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer") from error


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    # ssl.create_default_context() would write session keys to the file named by SSLKEYLOGFILE and
    # trust the file named by SSL_CERT_FILE. PROTOCOL_TLS_CLIENT verifies certificate and host name.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file or certifi.where())
    return context
