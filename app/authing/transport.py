"""The wire to Authing: aiohttp's connections under httpx's interface.

The only module that knows which HTTP engine is under httpx (docs/decisions/0002): httpx's own
loses a connection slot when a call is cancelled, and deadlines cancel calls. It must not know
what is asked for. Everything that the process environment could turn (proxies, trust stores, key
logs, netrc) is left unread: the pool secret travels here.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
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

LookUp: TypeAlias = Callable[
    [str, int, socket.AddressFamily], Coroutine[Any, Any, list[ResolveResult]]
]
"""Finds the addresses of a name, for a port; raises OSError."""

_LOOKUP_SECONDS = 1.5
_CONNECT_SECONDS = 2.0  # name, TCP and TLS together, and the wait for a free connection
_IDLE_SECONDS = 15.0


def build_transport(
    ca_file: Path | None, connections: int = 100, look_up: LookUp | None = None
) -> httpx.AsyncBaseTransport:
    """Make the transport with at most `connections` connections.

    Names are looked up by the system, unless by `look_up`.

    Authing is believed by the certificate authorities of `ca_file` alone, or else by those of
    Mozilla's list, which comes with the dependencies and so is the same on every machine.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate.
    """
    tls = _tls(ca_file)

    # A factory, because a session belongs to the event loop that runs when it is made.
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_QuietConnector(
                limit=connections,
                ssl=tls,
                resolver=_ImpatientResolver(look_up),
                keepalive_timeout=_IDLE_SECONDS,
            ),
            response_class=_UnspokenResponse,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )

    return AiohttpTransport(verify=tls, trust_env=False, client=session)


def build_client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    """Make the client that every call to Authing goes through; the caller closes it.

    It follows no redirect, keeps no cookie and asks for an answer that is not compressed. Only
    connecting is timed here (2 s): the deadline of a whole call is the caller's.
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
        # httpx keeps cookies of its own accord, above whatever the transport does.
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=())),
    )


class _ImpatientResolver(aiohttp.ThreadedResolver):
    """Gives a lookup up before the attempt to connect gives itself up.

    aiohttp lets all connections to a host wait for one lookup, which outlives who began it. The
    system's may go on for half a minute; logins would fail for so long after the name service has
    come back, and as if it had been a connection that timed out.
    """

    def __init__(self, look_up: LookUp | None) -> None:
        super().__init__()
        self._look_up = look_up or super().resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                return await self._look_up(host, port, family)
        except TimeoutError as error:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer") from error


class _QuietConnector(aiohttp.TCPConnector):
    """Reuses a connection only if it kept quiet since its last answer.

    What comes in between two requests would be taken for the answer to the next one, and sign
    that user in as somebody else. aiohttp itself does not look.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # the signature is aiohttp's
    ) -> Connection:
        # Two rounds of the event loop: one to notice what has come in, one to read it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


class _UnspokenResponse(aiohttp.ClientResponse):
    """Drops the reason phrase, which nobody reads but the log line of httpx.

    It is text of the peer's, and httpx_aiohttp loses the connection when it is not UTF-8.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        await super().start(connection)
        self.reason = None
        return self


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    # Not ssl.create_default_context(): it writes session keys to the file that SSLKEYLOGFILE
    # names, and without a cafile it takes its trust from SSL_CERT_FILE. This class verifies
    # certificate and host name from the start.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file or certifi.where())
    return context
