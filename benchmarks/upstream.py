"""A fake Authing that answers at once, or after `delay` seconds.

It accepts every ticket and gives each login another of `users` users. It answers the exchange of
the service and the exchange of Authing's SDKs (API version 3).
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import cast

import httptools
from typing_extensions import override

from app.sandbox import SandboxOptions
from app.sandbox.authing import user_token
from app.sandbox.personas import Persona, SigningKeys, user_record
from benchmarks.load import HOST

POOL_ID = "5f0000000000000000000003"
POOL_SECRET = "made-up-pool-secret-0123456789abcdef"


class Upstream:
    """The responses, made at each request."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.users = 100_000
        self.port = 0
        self._options = SandboxOptions(user_pool_id=POOL_ID, user_pool_secret=POOL_SECRET)
        self._keys = SigningKeys(POOL_SECRET)
        self._numbers = count()

    def response(self, path: bytes) -> bytes:
        """Return the response to an exchange."""
        persona = Persona(f"user-{next(self._numbers) % self.users}")
        now = int(time.time())
        token, expires_at = user_token(self._options, self._keys, persona, now)
        if path.startswith(b"/api/v3/"):
            tokens = {"access_token": token, "id_token": token, "expires_in": expires_at - now}
            return _http({"statusCode": 200, "message": "", "data": tokens})
        user = user_record(persona, token, now=now, expires_at=expires_at, get_phone=True)
        return _http({"code": 200, "message": "", "data": json.dumps(user)})


class _Exchange(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_message_complete(self) -> None:
        if self._upstream.delay:
            loop = asyncio.get_running_loop()
            loop.call_later(self._upstream.delay, self._respond, self._path)
        else:
            self._respond(self._path)

    def _respond(self, path: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._upstream.response(path))


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Serve it on a free port, in this process."""
    fake = Upstream()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Exchange(fake), HOST, 0, backlog=1024)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()


def _http(content: object) -> bytes:
    body = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
