"""The load generator: keep-alive connections on 127.0.0.1, each with one request under way.

A `Flow` says which requests a connection sends. Every run is bounded by its seconds, and by a
deadline for responses that never come.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import httptools
from typing_extensions import override

HOST = "127.0.0.1"
_DEADLINE = 60.0
_SUCCESS = range(200, 300)

Memory: TypeAlias = dict[str, Any]
"""The members of the JSON responses that a connection got, the newest of each name."""
Build: TypeAlias = Callable[[Memory], bytes]
"""Makes the bytes of the next request."""


@dataclass(frozen=True, slots=True)
class Flow:
    """`seed` is sent once before the measurement. `learns`: each response changes the memory."""

    request: Build
    seed: Build | None = None
    learns: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """`latencies` in seconds of the successful requests; `errors` are other or no responses."""

    seconds: float
    latencies: Sequence[float]
    errors: int


Run: TypeAlias = Callable[[float], Awaitable[Result]]
"""Sends on all connections for these seconds; 0 sends one request on each, all at once."""


class _Connection(asyncio.Protocol):
    def __init__(self, flow: Flow) -> None:
        self.latencies: list[float] = []
        self.errors = 0
        self._flow = flow
        self._memory: Memory = {}
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._until = self._sent = 0.0
        self._learns = False
        self._idle: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A session cookie is a credential like any other.
        if self._learns and name.lower() == b"set-cookie":
            cookies = self._memory.get("cookie", "")
            self._memory["cookie"] = f"{cookies}{value.decode().partition(';')[0]}; "

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        if self._parser.get_status_code() in _SUCCESS:
            self.latencies.append(now - self._sent)
            if self._learns:
                self._memory.update(json.loads(self._body))
        else:
            self.errors += 1
        if now < self._until:
            self._send(self._flow.request)
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def seed(self) -> None:
        if self._flow.seed is not None:
            await self._send_until(0, self._flow.seed, learns=True)
            if self.errors:
                raise RuntimeError(f"the seed was refused: {self._body[:200]!r}")

    async def run(self, until: float) -> None:
        """Send until this time, at least once; return after the last response."""
        self.latencies, self.errors = [], 0
        await self._send_until(until, self._flow.request, learns=self._flow.learns)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def _send_until(self, until: float, build: Build, *, learns: bool) -> None:
        self._until, self._learns = until, learns
        self._idle = asyncio.get_running_loop().create_future()
        self._send(build)
        await self._idle

    def _send(self, build: Build) -> None:
        self._body, self._sent = b"", time.perf_counter()
        if self._transport is not None:
            self._transport.write(build(self._memory))
        else:
            self._fail()

    def _fail(self) -> None:
        if self._idle is not None and not self._idle.done():
            self.errors += 1
            self._idle.set_result(None)


async def _run(connections: Sequence[_Connection], seconds: float) -> Result:
    started = time.perf_counter()
    async with asyncio.timeout(seconds + _DEADLINE):
        await asyncio.gather(*(one.run(started + seconds) for one in connections))
    latencies = [taken for one in connections for taken in one.latencies]
    errors = sum(one.errors for one in connections)
    return Result(time.perf_counter() - started, latencies, errors)


@asynccontextmanager
async def load(port: int, connections: int, flow: Flow) -> AsyncIterator[Run]:
    """Open connections to this port and send the seeds; yield what sends the requests."""
    loop, opened = asyncio.get_running_loop(), list[_Connection]()
    try:
        for _ in range(connections):
            opened.append((await loop.create_connection(lambda: _Connection(flow), HOST, port))[1])
        async with asyncio.timeout(_DEADLINE):
            await asyncio.gather(*(connection.seed() for connection in opened))
        yield partial(_run, opened)
    finally:
        for connection in opened:
            connection.close()
