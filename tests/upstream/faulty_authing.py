"""A running service before an Authing on a real socket that can fail in every way."""

import asyncio
import io
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from aiohttp.abc import ResolveResult
from pydantic import SecretStr

from app.authing.transport import AuthingTransport
from tests.authing.builders import (
    POOL,
    SECRET,
    SMALL_CA_FILE,
    USER_ID,
    Answer,
    Peer,
    Request,
    json_response,
    make_user,
)
from tests.support.authority import Authority
from tests.support.logging_state import entries_of, logging_as_in_production
from tests.support.running_app import RunningApp, running_app

GRACE = 0.5
"""Seconds after the timeout of an exchange within which the app has its response."""
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
        made = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.host, port))
        return made


@dataclass
class FaultyAuthing:
    """`address` is where the host's name leads to: an OSError fails, and "" never ends."""

    app: RunningApp = field(init=False)
    server: FaultServer
    authority: Authority
    timeout: float
    log: io.StringIO
    address: str | OSError = "127.0.0.1"
    _sites: Iterator[int] = field(default_factory=count)

    async def look_up(
        self, host: str, port: int, _family: socket.AddressFamily
    ) -> list[ResolveResult]:
        if not self.address:
            await asyncio.Event().wait()
        if isinstance(self.address, OSError):
            raise self.address
        found = ResolveResult(
            hostname=host, host=self.address, port=port, family=socket.AF_INET, proto=0, flags=0
        )
        return [found]

    async def log_in(self, ticket: str, address: str | None = None) -> httpx.Response:
        """Log in from this address; by default from a new network each time."""
        forwarded = {"X-Forwarded-For": address or f"2001:db8:{next(self._sites):x}::1"}
        body = {"ticket": ticket}
        return await self.app.phone.post("/v1/sessions", json=body, headers=forwarded)

    async def log_in_each(
        self, tickets: list[str], address: str | None = None
    ) -> list[httpx.Response]:
        return await asyncio.gather(*(self.log_in(ticket, address) for ticket in tickets))

    def exchanges(self) -> list[dict[str, Any]]:
        """The log lines of all exchanges so far."""
        return [line for line in entries_of(self.log) if line["event"] == "exchange"]

    def outcomes(self) -> list[str]:
        return [line["outcome"] for line in self.exchanges()]

    async def sessions(self) -> int:
        """Return the number of sessions of the user."""
        return len(await self.app.services.sessions.active_sessions(USER_ID))

    async def repair(self) -> None:
        """Make Authing work, as at the beginning."""
        self.server.response, self.address = GOOD, "127.0.0.1"
        await self.server.listen(self.server.tls)


@asynccontextmanager
async def faulty_authing(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    tls: bool = False,
    timeout: float = 1,  # noqa: ASYNC109  # a setting
    **settings: Any,
) -> AsyncIterator[FaultyAuthing]:
    """Start with a working Authing at this host, which may be `localhost`."""
    authority = Authority(folder)
    address = "127.0.0.1" if host == "localhost" else host
    server = FaultServer(address, authority.server() if tls else None)
    name = f"[{host}]" if ":" in host else host
    changes = {
        "authing_base_url": f"http{'s' if tls else ''}://{name}:{server.port}",
        "authing_timeout": timedelta(seconds=timeout),
        "authing_user_pool_id": POOL,
        "authing_user_pool_secret": (SecretStr(SECRET),),
        "trusted_proxies": (ip_network("127.0.0.1"),),
    }
    with logging_as_in_production() as log:
        authing = FaultyAuthing(server, authority, timeout, log)
        ca_file = authority.file if tls else SMALL_CA_FILE
        async with (
            AuthingTransport(ca_file, look_up=authing.look_up) as wire,
            running_app(folder, **changes, **settings) as authing.app,
        ):
            authing.app.wire.authing = wire
            await authing.repair()
            try:
                yield authing
            finally:
                await server.close()
