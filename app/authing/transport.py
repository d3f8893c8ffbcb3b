"""The HTTP transport to Authing, its errors and its deadline: aiohttp's connections under httpx.

The only module that knows which HTTP engine is below httpx (docs/decisions/0019). httpx's own
engine loses a connection when a call is cancelled, and deadlines cancel calls. Nothing is read from
the environment (proxies, trust stores, key logs, netrc), because the pool secret is sent here.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import certifi
import httpx
from aiohttp.abc import ResolveResult
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from typing_extensions import override

from app.authing.result import Outcome
from app.errors import (
    AuthingBadAnswer,
    AuthingError,
    AuthingTimeout,
    AuthingUnavailable,
    AuthingUntrusted,
)

LookUp: TypeAlias = Callable[
    [str, int, socket.AddressFamily], Coroutine[Any, Any, list[ResolveResult]]
]
"""Resolves a host name for a port and an address family; raises OSError."""

_LOOKUP_SECONDS = 1.5
_CONNECT_SECONDS = 2.0  # name lookup, TCP, TLS and the wait for a free connection together
_IDLE_SECONDS = 15.0
_CLIENT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, UnicodeError)

# The first matching row decides. httpx's errors come from other transports.
_ERROR_MAP: tuple[tuple[tuple[type[Exception], ...], type[AuthingError], Outcome], ...] = (
    (
        (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError),
        AuthingUntrusted,
        "tls",
    ),
    ((aiohttp.ClientConnectorDNSError,), AuthingUnavailable, "dns"),
    ((aiohttp.ConnectionTimeoutError,), AuthingUnavailable, "connect_timeout"),
    ((aiohttp.ClientConnectorError,), AuthingUnavailable, "connect_refused"),
    (
        (aiohttp.ClientConnectionError, OSError, httpx.NetworkError, httpx.TimeoutException),
        AuthingUnavailable,
        "reset",
    ),
    # The remaining errors mean that the peer sent something other than HTTP.
    ((Exception,), AuthingBadAnswer, "bad_framing"),
)


class AuthingTransport(httpx.AsyncBaseTransport):
    """The transport of all calls to Authing, for one event loop: httpx's types, aiohttp's sockets.

    It follows no redirect and keeps no cookie. It limits only the time to connect (2 s); the caller
    sets the `deadline` of the whole call. Only the certificate authorities of `ca_file` are
    trusted; without it, those of Mozilla's list in certifi, which is the same on every machine.
    `look_up` replaces the system's resolver.

    Raises:
        OSError: `ca_file` cannot be read or holds no certificate.
    """

    def __init__(
        self, ca_file: Path | None, connections: int = 160, look_up: LookUp | None = None
    ) -> None:
        self.tls = _tls(ca_file)
        self._connections = connections
        self._look_up = look_up
        self._session: aiohttp.ClientSession | None = None

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._session is None:
            self._session = self._open_session()
        response = await self._session.request(
            request.method,
            str(request.url),
            headers=request.headers,
            data=request.content or None,
            allow_redirects=False,
        )
        return httpx.Response(
            response.status, headers=response.raw_headers, stream=_ResponseBody(response)
        )

    @override
    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_CleanConnector(
                limit=self._connections,
                ssl=self.tls,
                resolver=_BoundedResolver(self._look_up),
                keepalive_timeout=_IDLE_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(connect=_CONNECT_SECONDS, sock_connect=_CONNECT_SECONDS),
            trust_env=False,
            auto_decompress=False,
        )


class _ResponseBody(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.content.iter_any():
            yield chunk

    @override
    async def aclose(self) -> None:
        # Gives the connection back, or closes it if the body was not read to its end.
        await self._response.__aexit__(None, None, None)


@contextmanager
def map_client_errors() -> Iterator[None]:
    """Raise AuthingError in place of the HTTP client's and the system's errors in the block.

    Raises:
        AuthingError: it keeps no text of the original error.
    """
    try:
        yield
    except _CLIENT_ERRORS as exc:
        error = map_client_error(exc)
        # A framing error quotes the response, which may hold a token: it is not chained.
        raise error from (None if isinstance(error, AuthingBadAnswer) else exc)


def map_client_error(exc: Exception) -> AuthingError:
    """Return the AuthingError that an error of the client or of the system stands for."""
    return next(error(outcome) for kinds, error, outcome in _ERROR_MAP if isinstance(exc, kinds))


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Cancel the block after this time.

    Raises:
        AuthingTimeout: the time is over.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as exc:
        raise AuthingTimeout("deadline") from exc


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


class _CleanConnector(aiohttp.TCPConnector):
    """Reuses a connection only if nothing arrived on it since its last response.

    Bytes that arrive between two requests would be taken for the next response, and the next user
    would be signed in as another user. aiohttp itself does not check this.
    """

    @override
    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # the signature is aiohttp's
    ) -> Connection:
        # Two rounds of the event loop: one to notice arrived bytes, one to read them.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    # ssl.create_default_context() would write session keys to the file named by SSLKEYLOGFILE and
    # trust the file named by SSL_CERT_FILE. PROTOCOL_TLS_CLIENT verifies certificate and host name.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file or certifi.where())
    return context
