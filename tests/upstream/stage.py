"""One whole Ticketgate before an Authing that can fail, a phone that logs in, and a bystander."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from aiohttp.abc import ResolveResult

from app import keyfile
from app.api.deps import Services
from app.authing.transport import build_transport
from app.config import Settings, load_settings
from app.main import create_app, open_services
from app.server.draining import Drain
from tests.authing.builders import NOW, POOL, SECRET, SMALL_CA_FILE, USER_ID, Peer, peer
from tests.support.authority import Authority
from tests.upstream.fault_server import GOOD, FaultServer

GRACE = 0.5
"""Seconds after the deadline of an exchange by which everything has been answered."""


def clock() -> datetime:
    return NOW.replace(microsecond=0)


class Timer:
    """Monotonic seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Names:
    """Looks names up as the system would, which knows `localhost` without asking anybody."""

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
    """What the phone got, and after how many seconds."""

    answer: httpx.Response
    seconds: float

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def body(self) -> Any:
        return self.answer.json()


@dataclass
class Stage:
    """`bystander` listens where nobody should come: a redirect's target, a proxy."""

    authing: FaultServer
    bystander: Peer
    names: Names
    authority: Authority
    timer: Timer
    deadline: float
    services: Services
    phone: httpx.AsyncClient

    async def log_in(self, ticket: str) -> Reply:
        started = time.monotonic()
        answer = await self.phone.post("/v1/sessions", json={"ticket": ticket})
        return Reply(answer, time.monotonic() - started)

    async def refresh(self, refresh_token: str) -> Reply:
        started = time.monotonic()
        body = {"refresh_token": refresh_token}
        answer = await self.phone.post("/v1/sessions/refresh", json=body)
        return Reply(answer, time.monotonic() - started)

    async def sessions(self) -> int:
        """How many sessions the user has."""
        return len(await self.services.sessions.active_sessions(USER_ID))

    async def repair(self) -> None:
        """Have Authing work, as at the beginning."""
        self.authing.answer = GOOD
        self.names.failure, self.names.hangs = None, False
        await self.authing.listen(self.authing.tls)


@asynccontextmanager
async def open_stage(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    tls: bool = False,
    base_url: str | None = None,
    deadline: int = 1,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Open it with a working Authing at this host; `base_url` is where Ticketgate looks for it."""
    authority, names, timer = Authority(folder), Names(), Timer()
    authing = FaultServer(host, authority.server() if tls else None)
    url = (base_url or authing.url).replace("PORT", str(authing.port))
    ca_file = authority.file if tls else SMALL_CA_FILE
    given = make_settings(folder, authing_base_url=url, authing_timeout=str(deadline), **settings)
    wire = build_transport(ca_file, look_up=names.look_up)
    async with (
        peer(GOOD) as bystander,
        open_services(given, drain=Drain(), transport=wire, clock=clock, timer=timer) as services,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(given, services)), base_url="http://api.test"
        ) as phone,
    ):
        stage = Stage(authing, bystander, names, authority, timer, deadline, services, phone)
        await stage.repair()
        try:
            yield stage
        finally:
            await authing.close()


def make_settings(folder: Path, **given: Any) -> Settings:
    settings = load_settings(
        Settings,
        env_file=None,
        secrets_dir=None,
        authing_user_pool_id=POOL,
        authing_user_pool_secret=SECRET,
        session_issuer="https://login.example",
        session_keys_file=folder / "keys.json",
        store_url=f"sqlite:///{folder}/sessions.db",
        rate_limit_login="999999/second",
        rate_limit_refresh="999999/second",
        **given,
    )
    keyfile.create(settings.session_keys_file, "ES256")
    return settings
