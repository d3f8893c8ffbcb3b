"""A Ticketgate whose Authing answers an exchange with whatever token it is told to."""

import itertools
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from app import keyfile
from app.config import Settings
from app.main import create_app, open_services
from app.server.draining import Drain
from app.store_url import SqliteUrl
from tests.forgeries.forge import b64, sign_with
from tests.forgeries.upstream_vectors import UpstreamForge
from tests.support.running_app import POOL_ID, POOL_SECRET, Clock, make_settings

USER_ID = "5f00000000000000000000aa"
UNIONID = "made-up-unionid"
FIFTEEN_DAYS = 1_296_000
_OWN_SECRET = b"made-up-secret-of-the-attacker-0123"


@dataclass
class Authing:
    """Knows one user, takes any ticket, and vouches with `token`, be it good or not."""

    token: Any = None

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        user = {"_id": USER_ID, "unionid": UNIONID, "token": self.token}
        body = json.dumps({"code": 200, "data": user}).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"}
        # As a stream, because a response that is made of bytes counts as read already.
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))


@dataclass
class Gate:
    settings: Settings
    _: KW_ONLY
    clock: Clock
    authing: Authing
    app: FastAPI

    def __post_init__(self) -> None:
        self._numbers = itertools.count()

    async def log_in(self, token: Any) -> httpx.Response:
        """Log in while Authing vouches with this token; each time a new phone, a new ticket."""
        self.authing.token = token
        number = next(self._numbers)
        address = f"198.51.{number // 250}.{number % 250}"
        transport = httpx.ASGITransport(self.app, client=(address, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as phone:
            return await phone.post("/v1/sessions", json={"ticket": f"made-up-{number}"})

    def sessions(self) -> int:
        """How many rows there are."""
        assert isinstance(self.settings.store_url, SqliteUrl)
        with closing(sqlite3.connect(self.settings.store_url.path)) as database:
            [number] = database.execute("SELECT count(*) FROM sessions").fetchone()
            return int(number)


@asynccontextmanager
async def open_gate(folder: Path) -> AsyncIterator[Gate]:
    settings = make_settings(folder)
    keyfile.create(settings.session_keys_file, "ES256")
    clock, authing = Clock(), Authing()
    async with open_services(
        settings, drain=Drain(), transport=httpx.MockTransport(authing), clock=clock
    ) as services:
        app = create_app(settings, services)
        yield Gate(settings, clock=clock, authing=authing, app=app)


def upstream_forge(now: int, access_token: str = "") -> UpstreamForge:
    return UpstreamForge(
        header={"alg": "HS256", "typ": "JWT"},
        claims={
            "data": {"unionid": UNIONID, "id": USER_ID, "clientId": POOL_ID},
            "iat": now,
            "exp": now + FIFTEEN_DAYS,
        },
        sign=sign_with("HS256", POOL_SECRET.encode()),
        own_jwk={"kty": "oct", "k": b64(_OWN_SECRET)},
        own_sign=sign_with("HS256", _OWN_SECRET),
        access_token=access_token,
    )
