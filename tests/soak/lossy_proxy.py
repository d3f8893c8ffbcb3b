"""A proxy that loses responses and duplicates requests; one request per connection.

A lost response is cut at a random byte after the request was delivered. A duplicate is delivered at
the same time as the original; one of the two responses is returned after both are complete. It is
never delivered later: a copy that arrives after its successor was used looks like theft. The proxy
parses no more of HTTP than the length of a request.
"""

import asyncio
import random
import re
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)\r\n", re.IGNORECASE)
_BACKLOG = 1000


@dataclass(frozen=True, slots=True)
class LossyProxy:
    """Passes requests on to the port that `upstream` gives at that moment; None: nobody is there.

    `drops` and `doubles` are shares of 1. `tally` counts what was done.
    """

    upstream: Callable[[], int | None]
    drops: float
    doubles: float
    choices: random.Random
    tally: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen on a port of its own, which this gives."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, backlog=_BACKLOG)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            writer.write(await self._answer(await _request(reader)))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            self.tally["apps that hung up"] += 1
        finally:
            writer.close()

    async def _answer(self, request: bytes) -> bytes:
        if self.upstream() is None:
            return b""
        copies = 2 if self.choices.random() < self.doubles else 1
        self.tally["requests doubled"] += copies - 1
        answers = await asyncio.gather(*(self._deliver(request) for _ in range(copies)))
        answer = self.choices.choice([a for a in answers if a] or [b""])
        if answer and self.choices.random() < self.drops:
            self.tally["answers dropped"] += 1
            return answer[: self.choices.randrange(len(answer))]
        return answer

    async def _deliver(self, request: bytes) -> bytes:
        """Send the request; what came back until the end, which may be nothing or a part."""
        port = self.upstream()
        if port is None:
            return b""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return b""
        self.tally["requests delivered"] += 1
        answer = b""
        with suppress(OSError):
            writer.write(request)
            answer = await reader.read()
        writer.close()
        self.tally["requests that died with the server"] += not answer
        return answer


async def _request(reader: StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + await reader.readexactly(int(length[1]) if length else 0)
