"""A server at one address whose behaviour can be changed while it is in use."""

import asyncio
import socket
import ssl
from contextlib import suppress

from tests.authing.builders import Answer, Peer, Request, json_response, make_user

GOOD = json_response(make_user())


class FaultServer:
    """Keeps its port bound, also while it does not listen, so that no other process gets it."""

    def __init__(self, host: str, tls: ssl.SSLContext | None) -> None:
        self.host, self.tls = host, tls
        self.response: bytes | Answer = GOOD
        self.peer = Peer(self._says)
        self._holder = self._socket(0)
        self.port: int = self._holder.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._hole: list[socket.socket] = []

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    async def listen(self, tls: ssl.SSLContext | None) -> None:
        await self.leave()
        self._server = await asyncio.start_server(self.peer.serve, self.host, self.port, ssl=tls)

    async def say_only(self, words: bytes) -> None:
        """Answer anything with these bytes, and close the connection."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10_000)
            writer.write(words)
            writer.close()

        await self.leave()
        self._server = await asyncio.start_server(talk, self.host, self.port)

    async def become_a_black_hole(self) -> None:
        """Answer no SYN: the queue of connections is full, and none is accepted."""
        await self.leave()
        hole = self._socket(self.port)
        hole.listen(0)
        self._hole.append(hole)
        for _ in range(3):
            filler = socket.socket(hole.family)
            filler.settimeout(0)
            with suppress(BlockingIOError):
                filler.connect(hole.getsockname()[:2])
            self._hole.append(filler)

    async def leave(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.close()
            await self.peer.hang_up()
            self._server = None
        while self._hole:
            self._hole.pop().close()

    async def close(self) -> None:
        await self.leave()
        self._holder.close()
        await asyncio.sleep(0)  # the sockets close in the next round of the loop

    def _says(self, _request: Request) -> bytes | Answer:
        return self.response

    def _socket(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        made = socket.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.host, port))
        return made
