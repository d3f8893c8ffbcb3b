"""The whole service in this process: the one fixture for tests over HTTP.

`app` is a RunningApp with a store of its own. Its settings are changed like this:
`@pytest.mark.parametrize("app", [{"session_max_per_user": 2}], indirect=True)`. `shared_app` is one
for all tests of a process, for tests that leave nothing behind. A test that needs two applications
calls `running_app`. Everything is real except the wire to Authing, the clock and the sockets.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from app import keyfile
from app.api.app import create_app
from app.api.deps import Services
from app.commands.sandbox import AsgiTransport
from app.config import Settings, load_settings
from app.keyfile.followed import KeyFile
from app.main import open_services
from app.sandbox import Consent, Fault, Sandbox, SandboxOptions
from app.sandbox.personas import Persona
from app.store_url import SqliteUrl
from tests.support.transports import InProcessTransport, Wire

ISSUER = "https://login.example"
POOL_ID = "5f0000000000000000000001"
POOL_SECRET = "made-up-pool-secret-0123456789abcdef"
SERVICE_KEY = "made-up-service-key-0123456789abcdef"
SERVICE = {"Authorization": f"Bearer {SERVICE_KEY}"}
OTHER_SERVICE_KEY = "another-service-key-fedcba9876543210"
UNHINDERED = "999999/second"
"""A rate limit that is in force and never reached."""


class Clock:
    """Stands still until it is moved. Tells whole seconds, as the port promises."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    @property
    def epoch(self) -> int:
        return int(self.seconds())

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class RunningApp:
    """An open service, the fake Authing behind it, and an HTTP client (`phone`) before it."""

    settings: Settings
    _: KW_ONLY
    clock: Clock
    sandbox: Sandbox
    wire: Wire
    drain: asyncio.Event
    services: Services
    phone: httpx.AsyncClient = field(init=False)
    secrets: set[str] = field(default_factory=set)
    """Every secret and personal value so far: only the response it is meant for may contain it."""

    def __post_init__(self) -> None:
        self.phone = phone_of(self.serve())
        keys = json.loads(self.settings.session_keys_file.read_bytes())["keys"]
        self.secrets |= {POOL_SECRET, SERVICE_KEY, OTHER_SERVICE_KEY} | {
            key.get("k") or key["d"] for key in keys
        }

    def ticket(self, persona: str = "lin", *, get_phone: bool = True) -> str:
        ticket = self.sandbox.state.issue(Consent(persona, get_phone))
        person = Persona(persona)
        self.secrets |= {ticket, person.phone, person.unionid, person.openid, person.nickname}
        return ticket

    def break_authing(self, kind: str, seconds: float = 3, times: int | None = None) -> None:
        self.sandbox.state.fault = Fault(kind, times, seconds)

    def switch_authing(self, **options: Any) -> None:
        self.sandbox.state.options = replace(self.sandbox.state.options, **options)

    @property
    def store_file(self) -> str:
        assert isinstance(self.settings.store_url, SqliteUrl)
        return str(self.settings.store_url.path)

    def follow_keys(self) -> None:
        """Read the key file now, as the service does every few seconds."""
        assert isinstance(self.services.keys, KeyFile)
        self.services.keys.follow()

    def break_store(self) -> None:
        """Drop the tables, so that every command of the store fails."""
        with closing(sqlite3.connect(self.store_file)) as database:
            for table in ("sessions", "tickets", "bans", "events", "notes"):
                database.execute(f"DROP TABLE {table}")

    def serve(
        self, services: Services | None = None, extra_routes: Sequence[BaseRoute] = ()
    ) -> ASGIApp:
        """Build another application over these services or over others."""
        return create_app(
            services or self.services,
            api_docs=self.settings.api_docs,
            cors_origins=self.settings.cors_origins,
            extra_routes=extra_routes,
        )

    async def log_in(self, persona: str = "lin", **members: Any) -> dict[str, Any]:
        return self.tokens(await self.try_log_in(self.ticket(persona), **members), 201)

    async def try_log_in(
        self, ticket: str, key: str | None = None, *proofs: str, **members: Any
    ) -> httpx.Response:
        """Log in; `key` is the Idempotency-Key, and `proofs` are values of DPoP."""
        headers = _headers(key, proofs)
        self.secrets |= {value for _, value in headers}
        body = {"ticket": ticket, **members}
        return await self.phone.post("/v1/sessions", json=body, headers=headers)

    async def refresh(self, refresh_token: str) -> dict[str, Any]:
        return self.tokens(await self.try_refresh(refresh_token), 200)

    async def try_refresh(
        self, refresh_token: str, key: str | None = None, *proofs: str
    ) -> httpx.Response:
        body, headers = {"refresh_token": refresh_token}, _headers(key, proofs)
        return await self.phone.post("/v1/sessions/refresh", json=body, headers=headers)

    async def get(self, path: str, tokens: dict[str, Any]) -> httpx.Response:
        return await self.phone.get(path, headers=bearer(tokens))

    async def delete(self, path: str, tokens: dict[str, Any]) -> httpx.Response:
        return await self.phone.delete(path, headers=bearer(tokens))

    async def log_out(self, tokens: dict[str, Any]) -> httpx.Response:
        return await self.delete("/v1/sessions/current", tokens)

    async def backend(
        self, method: str, subject: str, what: str, body: object = None, key: str = SERVICE_KEY
    ) -> httpx.Response:
        path = f"/internal/v1/users/{subject}/{what}"
        headers = {"Authorization": f"Bearer {key}"}
        return await self.phone.request(method, path, json=body, headers=headers)

    def tokens(self, response: httpx.Response, status: int) -> dict[str, Any]:
        assert response.status_code == status, response.text
        tokens: dict[str, Any] = response.json()
        self.secrets |= {tokens["access_token"], tokens["refresh_token"]}
        return tokens


def _headers(key: str | None, proofs: Sequence[str]) -> list[tuple[str, str]]:
    given = [] if key is None else [("Idempotency-Key", key)]
    return given + [("DPoP", proof) for proof in proofs]


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def phone_of(
    app: Callable[..., Any], peer: tuple[str, int] = ("127.0.0.1", 123)
) -> httpx.AsyncClient:
    """A client without a socket. An exception of the application reaches the caller."""
    transport = httpx.ASGITransport(InProcessTransport(app), client=peer)
    return httpx.AsyncClient(transport=transport, base_url="http://api.test")


@asynccontextmanager
async def running_app(folder: Path, **changes: Any) -> AsyncIterator[RunningApp]:
    """Open a service with its files in the folder; `changes` are settings as parsed values.

    Secret files in `secrets` of the folder are followed.
    """
    settings = make_settings(folder, **changes)
    keyfile.create(settings.session_keys_file, "ES256")
    clock, drain = Clock(), asyncio.Event()
    options = SandboxOptions(
        user_pool_id=POOL_ID, user_pool_secret=POOL_SECRET, clock=clock.seconds
    )
    sandbox = Sandbox(options)
    wire = Wire(AsgiTransport(sandbox.app))
    async with open_services(
        settings,
        drain=drain,
        transport=wire,
        clock=clock,
        timer=clock.seconds,
        secrets_dir=folder / "secrets",
    ) as services:
        opened = RunningApp(
            settings, clock=clock, sandbox=sandbox, wire=wire, drain=drain, services=services
        )
        async with opened.phone:
            yield opened


@pytest.fixture
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path, **getattr(request, "param", {})) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path_factory.mktemp("shared_app")) as opened:
        yield opened


def make_settings(folder: Path, **changes: Any) -> Settings:
    settings = load_settings(
        Settings,
        env_file=None,
        secrets_dir=None,
        authing_base_url="http://localhost",
        authing_user_pool_id=POOL_ID,
        authing_user_pool_secret=POOL_SECRET,
        session_issuer=ISSUER,
        session_keys_file=folder / "keys.json",
        store_url=f"sqlite:///{folder}/sessions.db",
        service_api_keys=f"{SERVICE_KEY}, {OTHER_SERVICE_KEY}",
        rate_limit_login=UNHINDERED,
        rate_limit_refresh=UNHINDERED,
    )
    # Not validated: tests need deadlines below the least that an operator may set.
    return settings.model_copy(update=changes)
