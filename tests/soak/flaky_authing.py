"""A proxy before the fake Authing that is well, slow, hanging or flapping.

A fault replaces the exchange, so the ticket stays valid. The proxy parses no more of HTTP than the
length of a request.
"""

import asyncio
import random
import re
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Mood: TypeAlias = Literal["well", "slow", "hanging", "flapping"]

FAULTY = 0.3
SLOW_SECONDS = 0.1
_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)\r\n", re.IGNORECASE)
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
class FlakyAuthing:
    """Passes exchanges on to `upstream`, a port of this machine, as its mood allows."""

    choices: random.Random
    upstream: int | None = None
    tally: Counter[str] = field(default_factory=Counter)
    _mood: Mood = "well"
    _not_hanging: asyncio.Event = field(default_factory=asyncio.Event)

    def become(self, mood: Mood) -> None:
        """Change the mood; what was left hanging is dealt with now."""
        self._mood = mood
        if mood == "hanging":
            self._not_hanging.clear()
        else:
            self._not_hanging.set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen on a port of its own, which this gives."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            request = await _request(reader)
            self.tally["exchanges"] += 1
            if self._mood == "flapping" and self.choices.random() < FAULTY:
                self.tally["faults"] += 1
                answer = self.choices.choice(_FAULTS)
            else:
                answer = await self._pass_on(request)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            self.tally["hung up by the service"] += 1
        finally:
            writer.close()

    async def _pass_on(self, request: bytes) -> bytes:
        if self._mood == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        await self._not_hanging.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        writer.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = await reader.read()
        writer.close()
        return answer


async def _request(reader: StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + await reader.readexactly(int(length[1]) if length else 0)
