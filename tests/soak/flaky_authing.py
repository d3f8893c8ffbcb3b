"""A proxy before the fake Authing that is well, slow, hanging or flapping.

A fault replaces the exchange, so the ticket stays valid.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from typing_extensions import override

from tests.soak.http_proxy import HttpProxy, deliver

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
class FlakyAuthing(HttpProxy):
    """Passes exchanges on to `upstream`, a port of this machine, as its mood allows.

    `faulty` is the share of exchanges that fail while it is flapping.
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
