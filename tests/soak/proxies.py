"""Proxies between the processes of a soak run: one that loses, and one that plays a bad Authing."""

import asyncio
import random
import re
from abc import ABC, abstractmethod
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from typing_extensions import override

_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)\r\n", re.IGNORECASE)
_BACKLOG = 1000
Mood: TypeAlias = Literal["well", "slow", "hanging", "flapping"]

FAULTY = 0.3
SLOW_SECONDS = 0.1
_HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"code"'


def _answer(status: int, body: bytes, media_type: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 %d Whatever\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
    closing = b"Connection: close\r\n\r\n"
    return head % (status, media_type, len(body)) + closing + body


_PAGE = b"<!doctype html><title>made up</title>"
# Bytes, and then the connection is closed; nothing for a connection that is never answered.
_FAULTS: tuple[bytes | None, ...] = (
    None,
    b"",
    _HALF,
    _answer(500, b'{"code": 500, "message": "made up"}'),
    _answer(502, _PAGE, b"text/html"),
    _answer(503, b""),
    _answer(429, b'{"code": 429}'),
    _answer(200, _PAGE, b"text/html"),
    _answer(200, b'{"code": 200, "data": {"_id": "5e00'),
    _answer(307, b"{}"),
    b"not HTTP at all\r\n\r\n",
)


@dataclass(slots=True)
class HttpProxy(ABC):
    """Parses no more of HTTP than the length of a request. `tally` counts what was done."""

    choices: random.Random
    tally: Counter[str] = field(default_factory=Counter, init=False)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=_BACKLOG)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            response = await self.answer(head + body)
            if response is None:
                await reader.read()
            else:
                writer.write(response)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            self.tally["clients that hung up"] += 1
        finally:
            writer.close()

    @abstractmethod
    async def answer(self, request: bytes) -> bytes | None:
        """Return the bytes to send before closing; None keeps the connection without a response."""


async def deliver(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


@dataclass(slots=True)
class LossyProxy(HttpProxy):
    """Passes requests on to the port that `upstream` gives at that moment; None: nothing serves.

    A lost response is cut at a random byte after the request was delivered. A duplicate is
    delivered at the same time as the original; one of the two responses is returned after both are
    complete. It is never delivered later: a copy that arrives after its successor was used looks
    like theft. `drops` and `doubles` are shares of 1.
    """

    upstream: Callable[[], int | None]
    drops: float
    doubles: float

    @override
    async def answer(self, request: bytes) -> bytes:
        if self.upstream() is None:
            return b""
        copies = 2 if self.choices.random() < self.doubles else 1
        self.tally["requests doubled"] += copies - 1
        responses = await asyncio.gather(*(self._deliver(request) for _ in range(copies)))
        response = self.choices.choice([a for a in responses if a] or [b""])
        if response and self.choices.random() < self.drops:
            self.tally["responses dropped"] += 1
            return response[: self.choices.randrange(len(response))]
        return response

    async def _deliver(self, request: bytes) -> bytes:
        port = self.upstream()
        if port is None:
            return b""
        self.tally["requests delivered"] += 1
        try:
            response = await deliver(port, request)
        except OSError:
            response = b""
        self.tally["requests that died with the server"] += not response
        return response


@dataclass(slots=True)
class FlakyAuthing(HttpProxy):
    """Passes exchanges on to `upstream`, a port of this machine, as its mood allows.

    `faulty` is the share of exchanges that fail while it is flapping. A fault replaces the
    exchange, so the ticket stays valid.
    """

    upstream: int = 0
    faulty: float = FAULTY
    _mood: Mood = "well"
    _not_hanging: asyncio.Event = field(default_factory=asyncio.Event)

    def become(self, mood: Mood) -> None:
        """Change the mood; what was left hanging is dealt with now."""
        self._mood = mood
        if mood == "hanging":
            self._not_hanging.clear()
        else:
            self._not_hanging.set()

    @override
    async def answer(self, request: bytes) -> bytes | None:
        self.tally["exchanges"] += 1
        if self._mood == "flapping" and self.choices.random() < self.faulty:
            self.tally["faults"] += 1
            return self.choices.choice(_FAULTS)
        if self._mood == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        await self._not_hanging.wait()
        request = request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        return await deliver(self.upstream, request)
