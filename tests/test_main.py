"""The composition root: it opens everything, connects it, and closes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from app.api.app import create_app
from app.api.deps import Services
from app.commands.sandbox import AsgiTransport
from app.config import Settings, load_settings
from app.errors import AuthingTokenInvalid, StartupError
from app.main import open_services, system_clock
from app.sandbox import Consent, Sandbox, SandboxOptions
from app.sandbox.personas import SigningKeys
from app.sessions.login import Login
from app.sessions.miniprogram import Launch
from app.store_url import RedisUrl, SqliteUrl
from app.stores.sqlite import open_sqlite_store
from tests.commands.environment import ISSUER, POOL_ID, POOL_SECRET, enter, minimal

OTHER_SECRET = "another-made-up-secret-9876543210"
AUTHING = "http://localhost"
JWKS: dict[str, Any] = {
    "authing_token_mode": "jwks",
    "authing_jwks_url": f"{AUTHING}/oidc/.well-known/jwks.json",
    "authing_issuer": "https://sandbox.example/oidc",
    "authing_audience": "sandbox-app",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter(tmp_path, monkeypatch, **minimal(tmp_path))
    return tmp_path


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(SandboxOptions(user_pool_id=POOL_ID, user_pool_secret=POOL_SECRET))


def load(**given: Any) -> Settings:
    return load_settings(
        Settings, env_file=None, secrets_dir=None, authing_base_url=AUTHING, **given
    )


class Wire(AsgiTransport):
    """The way to the fake Authing, which remembers whether it has been closed."""

    closed = False

    @override
    async def __aexit__(self, *_error: object) -> None:
        self.closed = True


@asynccontextmanager
async def opened(
    sandbox: Sandbox, drain: asyncio.Event | None = None, **given: Any
) -> AsyncIterator[Any]:
    settings = load(**given)
    async with open_services(
        settings, drain=drain or asyncio.Event(), transport=Wire(sandbox.app)
    ) as services:
        yield services


def assert_store_is_free(settings: Settings) -> None:
    assert isinstance(settings.store_url, SqliteUrl)
    with open_sqlite_store(settings.store_url.path):
        pass


# --- opening and closing ---


def test_redis_is_addressed_with_its_ca_file_and_the_password_of_its_sentinels() -> None:
    url, ca_file = "rediss+sentinel://sentinel.example/main", Path("ca.pem")
    settings = load(store_url=url, store_ca_file=ca_file, store_sentinel_password="made-up")
    address = settings.store_address
    assert isinstance(address, RedisUrl)
    assert (address.service, address.ca_file, address.sentinel_password) == (
        "main",
        ca_file,
        "made-up",
    )
    assert "made-up" not in repr(address)


async def test_everything_opened_is_closed_again(sandbox: Sandbox) -> None:
    settings, wire, before = load(), Wire(sandbox), asyncio.all_tasks()
    async with open_services(settings, drain=asyncio.Event(), transport=wire):
        assert len(asyncio.all_tasks()) > len(before)
        assert not wire.closed
    assert wire.closed
    assert asyncio.all_tasks() == before
    assert_store_is_free(settings)


async def test_a_part_that_refuses_leaves_nothing_open_behind_it(folder: Path) -> None:
    settings = load(authing_ca_file=folder / "missing.pem")
    with pytest.raises(StartupError, match=r"^AUTHING_CA_FILE: .*missing\.pem is not a readable"):
        async with open_services(settings, drain=asyncio.Event()):
            raise AssertionError
    assert_store_is_free(settings)


async def test_a_broken_key_file_is_found_before_the_store_is_made(folder: Path) -> None:
    (folder / "keys.json").write_text("{")
    with pytest.raises(StartupError, match=r"^SESSION_KEYS_FILE: "):
        async with open_services(load(), drain=asyncio.Event()):
            raise AssertionError
    assert not (folder / "sessions.db").exists()


def test_the_clock_tells_whole_seconds_in_utc() -> None:
    assert system_clock().tzinfo is UTC
    assert abs(system_clock() - datetime.now(UTC)) < timedelta(seconds=5)
    assert {system_clock().microsecond for _ in range(100)} == {0}


# --- what fits together ---


async def test_the_wire_is_real_where_no_other_is_given(folder: Path) -> None:
    async with (
        open_services(load(), drain=asyncio.Event()) as services,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(services, api_docs=False)), base_url=ISSUER
        ) as phone,
    ):
        ready = await phone.get("/readyz")
    assert ready.json()["authing"] == "unknown"
    assert ready.status_code == 200


async def login(services: Services, sandbox: Sandbox) -> str:
    pair = await services.logins.log_in(Login(sandbox.state.issue(Consent())))
    return pair.session.subject


TOKEN_SECRETS = {"authing_token_secrets": f"a-third-made-up-secret-13579,{OTHER_SECRET}"}


@pytest.mark.parametrize(
    ("given", "signed_with", "accepted"),
    [
        ({}, POOL_SECRET, True),
        ({}, OTHER_SECRET, False),
        (TOKEN_SECRETS, OTHER_SECRET, True),
        (TOKEN_SECRETS, POOL_SECRET, False),
        ({}, "RS256", False),
        (JWKS | {"authing_token_mode": "hs256"}, "RS256", False),
        (JWKS, "RS256", True),
        (JWKS, POOL_SECRET, False),
        (JWKS | {"authing_issuer": "https://other.example"}, "RS256", False),
        (JWKS | {"authing_audience": "other-app"}, "RS256", False),
    ],
)
async def test_a_token_is_verified_as_the_settings_say(
    sandbox: Sandbox,
    given: dict[str, Any],
    signed_with: str,
    accepted: bool,  # noqa: FBT001  # pytest names it
) -> None:
    if signed_with == "RS256":
        sandbox.state.options = replace(sandbox.state.options, token_algorithm="RS256")
    else:
        sandbox.state.keys = SigningKeys(signed_with)
    async with opened(sandbox, **given) as services:
        with nullcontext() if accepted else pytest.raises(AuthingTokenInvalid):
            assert await login(services, sandbox)
    assert sandbox.state.jwks_reads == (given.get("authing_token_mode") == "jwks")


async def test_the_launch_shows_the_mini_program_of_the_settings(sandbox: Sandbox) -> None:
    async with opened(
        sandbox,
        miniprogram_user_name="gh_0123456789ab",
        miniprogram_path="/pages/login",
        miniprogram_type="preview",
        miniprogram_self_hosted=True,
        miniprogram_get_phone=False,
    ) as services:
        assert services.mini_program.launch("ios") == Launch(
            user_name="gh_0123456789ab",
            path=f"/pages/login?userPoolId={POOL_ID}&getPhone=0&fromApp=1&useSelfWxapp=1",
            mini_program_type=2,
            mini_program_type_name="WXMiniProgramTypePreview",
        )
        assert "getPhone=1" in services.mini_program.launch(get_phone=True).path


async def test_tokens_and_lifetimes_follow_the_settings(sandbox: Sandbox) -> None:
    async with opened(
        sandbox, session_access_ttl="60", session_idle_ttl="PT1H", session_absolute_ttl="PT90M"
    ) as services:
        pair = await services.logins.log_in(Login(sandbox.state.issue(Consent())))
    assert services.issuer == ISSUER
    assert pair.expires_in == 60
    assert pair.refresh_expires_in == 3600
    assert pair.session.absolute_expires_at - pair.session.created_at == timedelta(minutes=90)


async def test_a_login_outlives_its_deadline_in_the_store_and_its_ticket_at_authing(
    sandbox: Sandbox,
) -> None:
    async with opened(sandbox, authing_timeout="9", authing_ticket_ttl="300") as services:
        logins = services.logins
    assert logins.lease_life > timedelta(seconds=9)
    assert logins.ticket_life > timedelta(seconds=300)


@pytest.mark.parametrize(
    ("given", "audience"), [({}, ISSUER), ({"session_audience": "acme-app"}, "acme-app")]
)
async def test_the_audience_is_the_issuer_unless_there_is_a_setting(
    sandbox: Sandbox, given: dict[str, Any], audience: str
) -> None:
    async with opened(sandbox, **given) as services:
        access_tokens = services.sessions.issuer.access_tokens
        assert (access_tokens.audience, access_tokens.issuer) == (audience, ISSUER)
