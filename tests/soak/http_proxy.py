"""The base of proxies between the processes of a soak run; one request per connection."""

import asyncio
import random
import re
from abc import ABC, abstractmethod
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)\r\n", re.IGNORECASE)
_BACKLOG = 1000


@dataclass(slots=True)
class HttpProxy(ABC):
    """Parses no more of HTTP than the length of a request. `tally` counts what was done."""

    choices: random.Random
    tally: Counter[str] = field(default_factory=Counter, init=False)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen on a port of its own, which this gives."""
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
    """Send the request to this port and return all bytes until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
