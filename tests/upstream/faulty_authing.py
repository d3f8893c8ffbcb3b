"""A running service before an Authing on a real socket that can fail in every way."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
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
from tests.authing.builders import POOL, SECRET, SMALL_CA_FILE, USER_ID, Peer, peer
from tests.support.authority import Authority
from tests.support.running_app import RunningApp, running_app
from tests.upstream.fault_server import GOOD, FaultServer

GRACE = 0.5
"""Seconds after the timeout of an exchange within which the app has its response."""


class Names:
    """A resolver that knows one address, can fail, or can hang."""

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self.hangs = False

    async def look_up(
        self, host: str, port: int, _family: socket.AddressFamily
    ) -> list[ResolveResult]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        found = ResolveResult(
            hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
        )
        return [found]


@dataclass(frozen=True)
class Reply:
    """The response, and after how many seconds."""

    response: httpx.Response
    seconds: float

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def body(self) -> Any:
        return self.response.json()


@dataclass
class FaultyAuthing:
    """`bystander` is a server that must get no request: the target of a redirect."""

    app: RunningApp
    server: FaultServer
    bystander: Peer
    names: Names
    authority: Authority
    timeout: float
    _sites: Iterator[int] = field(default_factory=count)

    async def log_in(self, ticket: str, address: str | None = None) -> Reply:
        """Log in from this address; by default from a new network each time."""
        started = time.monotonic()
        forwarded = {"X-Forwarded-For": address or f"2001:db8:{next(self._sites):x}::1"}
        response = await self.app.phone.post(
            "/v1/sessions", json={"ticket": ticket}, headers=forwarded
        )
        return Reply(response, time.monotonic() - started)

    async def refresh(self, refresh_token: str) -> Reply:
        started = time.monotonic()
        response = await self.app.try_refresh(refresh_token)
        return Reply(response, time.monotonic() - started)

    async def sessions(self) -> int:
        """Return the number of sessions of the user."""
        return len(await self.app.services.sessions.active_sessions(USER_ID))

    async def repair(self) -> None:
        """Make Authing work, as at the beginning."""
        self.server.response = GOOD
        self.names.failure, self.names.hangs = None, False
        await self.server.listen(self.server.tls)


@asynccontextmanager
async def faulty_authing(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    tls: bool = False,
    base_url: str | None = None,
    timeout: float = 1,  # noqa: ASYNC109  # a setting
    **settings: Any,
) -> AsyncIterator[FaultyAuthing]:
    """Start with a working Authing at this host; `base_url` is the URL in the settings."""
    authority, names = Authority(folder), Names()
    server = FaultServer(host, authority.server() if tls else None)
    changes = {
        "authing_base_url": (base_url or server.url).replace("PORT", str(server.port)),
        "authing_timeout": timedelta(seconds=timeout),
        "authing_user_pool_id": POOL,
        "authing_user_pool_secret": (SecretStr(SECRET),),
        "trusted_proxies": (ip_network("127.0.0.1"),),
    }
    wire = AuthingTransport(authority.file if tls else SMALL_CA_FILE, look_up=names.look_up)
    async with peer(GOOD) as bystander, running_app(folder, **changes, **settings) as app:
        app.wire.authing = wire
        authing = FaultyAuthing(app, server, bystander, names, authority, timeout)
        await authing.repair()
        try:
            yield authing
        finally:
            await wire.aclose()
            await server.close()
