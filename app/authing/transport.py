"""The HTTP client for Authing, its errors and its deadline: aiohttp's connections under httpx.

The only module that knows which HTTP engine is below httpx (docs/decisions/0002). httpx's own
engine loses a connection when a call is cancelled, and deadlines cancel calls. Nothing is read from
the environment (proxies, trust stores, key logs, netrc), because the pool secret is sent here.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import certifi
import httpx
from aiohttp.abc import ResolveResult
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from httpx_aiohttp import AiohttpTransport
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

# The first matching row decides. The aiohttp class is the reliable one: httpx_aiohttp reports a
# server that hangs up as a connect timeout, and passes some errors on unchanged.
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


def build_transport(
    ca_file: Path | None, connections: int = 100, look_up: LookUp | None = None
) -> httpx.AsyncBaseTransport:
    """Build the transport with at most `connections` connections.

    Only the certificate authorities of `ca_file` are trusted; without it, those of Mozilla's list
    in certifi, which is the same on every machine. `look_up` replaces the system's resolver.

    Raises:
        OSError: `ca_file` cannot be read or holds no certificate.
    """
    tls = _tls(ca_file)

    # A factory, because a session belongs to the event loop that runs when it is created.
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_CleanConnector(
                limit=connections,
                ssl=tls,
                resolver=_BoundedResolver(look_up),
                keepalive_timeout=_IDLE_SECONDS,
            ),
            response_class=_ResponseWithoutReason,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )

    return AiohttpTransport(verify=tls, trust_env=False, client=session)


def build_client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    """Build the client for all calls to Authing; the caller closes it.

    It follows no redirect, keeps no cookie and asks for an uncompressed response. It limits only
    the time to connect (2 s); the caller sets the `deadline` of the whole call.
    """
    return httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS),
        headers={
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "ticketgate",
        },
        # httpx keeps cookies by itself, whatever the transport does.
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=())),
    )


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
    cause = exc.__cause__
    origin = cause if isinstance(cause, (aiohttp.ClientError, OSError)) else exc
    return next(error(outcome) for kinds, error, outcome in _ERROR_MAP if isinstance(origin, kinds))


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


class _ResponseWithoutReason(aiohttp.ClientResponse):
    """Drops the reason phrase: httpx_aiohttp loses the connection if it is not UTF-8."""

    @override
    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        await super().start(connection)
        self.reason = None
        return self


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    # ssl.create_default_context() would write session keys to the file named by SSLKEYLOGFILE and
    # trust the file named by SSL_CERT_FILE. PROTOCOL_TLS_CLIENT verifies certificate and host name.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file or certifi.where())
    return context
