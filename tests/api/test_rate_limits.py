"""429: limits of logins for each address and of refreshes for each session."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import keyfile
from app.errors import RateLimited
from app.main import open_services
from app.store_url import parse_store_url
from tests.support.running_app import RunningApp, make_settings, phone_of, running_app
from tests.support.valkey.process import Server

MADE_UP = {"ticket": "t" * 40}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """With the default limits, and 10.0.0.0/8 as trusted proxies."""
    proxies = (ip_network("10.0.0.0/8"),)
    limits = {"rate_limit_login": "30/minute", "rate_limit_refresh": "60/minute"}
    async with running_app(tmp_path, trusted_proxies=proxies, **limits) as opened:
        yield opened


@asynccontextmanager
async def calling_from(app: RunningApp, address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with phone_of(app.serve(), (address, 50000)) as phone:
        yield phone


async def statuses(phone: httpx.AsyncClient, times: int, **request: Any) -> Counter[int]:
    request.setdefault("json", MADE_UP)
    responses = [await phone.post("/v1/sessions", **request) for _ in range(times)]
    return Counter(response.status_code for response in responses)


async def test_each_client_behind_a_trusted_proxy_has_its_own_count(app: RunningApp) -> None:
    async with calling_from(app, "10.0.0.1") as phone:
        for client in ("198.51.100.7", "198.51.100.8"):
            headers = {"X-Forwarded-For": f"8.8.8.8, {client}"}
            assert await statuses(phone, 31, headers=headers) == {400: 30, 429: 1}


async def test_a_48_of_ipv6_has_eight_times_the_limit_of_its_64(app: RunningApp) -> None:
    count: Counter[int] = Counter()
    for number in range(10):
        async with calling_from(app, f"2001:db8:1:{number}::7") as phone:
            count += await statuses(phone, 31)
    assert count == {400: 8 * 30, 429: 8 + 2 * 31}
    async with calling_from(app, "2001:db8:2::7") as phone:
        assert await statuses(phone, 31) == {400: 30, 429: 1}


async def test_a_valid_ticket_never_counts_and_is_never_refused(app: RunningApp) -> None:
    for _ in range(40):
        ticket, key = app.ticket(), f"the-key-of-this-login-{secrets.token_hex(4)}"
        for _ in range(2):
            app.tokens(await app.try_log_in(ticket, key), 201)
        blocked = await app.try_log_in(app.ticket("blocked"))
        assert blocked.json()["code"] == "account_blocked"
    assert await statuses(app.phone, 31) == {400: 30, 429: 1}
    await app.log_in()


async def test_used_tickets_count_and_troubles_of_authing_do_not(app: RunningApp) -> None:
    used = {"ticket": app.ticket()}
    assert await statuses(app.phone, 31, json=used) == {201: 1, 400: 30}
    assert await statuses(app.phone, 1, json=used) == {429: 1}
    async with calling_from(app, "203.0.113.9") as phone:
        app.break_authing("http_500")
        assert await statuses(phone, 10) == {503: 10}
        app.break_authing("none")
        assert await statuses(phone, 31) == {400: 30, 429: 1}


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {}},
        {"json": {"ticket": ""}},
        {"json": {"ext_msg": "code=400&message=用户取消授权"}},
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"json": MADE_UP, "headers": {"Idempotency-Key": "short"}},
    ],
    ids=["empty", "no ticket", "declined", "no JSON", "odd key"],
)
async def test_a_request_without_a_ticket_does_not_count(
    app: RunningApp, request_: dict[str, Any]
) -> None:
    assert 429 not in await statuses(app.phone, 40, **request_)
    assert await statuses(app.phone, 31) == {400: 30, 429: 1}


async def test_a_refresh_that_is_one_too_many_costs_no_session(app: RunningApp) -> None:
    first = await app.log_in()
    second = await app.refresh(first["refresh_token"])
    for _ in range(59):
        assert (await app.refresh(first["refresh_token"]))["outcome"] == "replayed"
    refused = await app.try_refresh(second["refresh_token"])
    assert (refused.status_code, refused.json()["session_alive"]) == (429, "unknown")
    assert (await app.get("/v1/me", second)).status_code == 200
    app.clock.advance(seconds=refused.json()["retry_after"])
    assert (await app.refresh(second["refresh_token"]))["outcome"] == "rotated"


async def test_lists_of_sessions_count_for_their_user(app: RunningApp) -> None:
    phones = [await app.log_in("lin"), await app.log_in("lin")]
    for number in range(60):
        assert (await app.get("/v1/sessions", phones[number % 2])).status_code == 200
    refused = await app.get("/v1/sessions", phones[0])
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert (await app.get("/v1/sessions", await app.log_in("chen"))).status_code == 200
    app.clock.advance(seconds=refused.json()["retry_after"])
    assert (await app.get("/v1/sessions", phones[0])).status_code == 200


async def test_no_other_route_is_limited(app: RunningApp) -> None:
    tokens = await app.log_in()
    await statuses(app.phone, 30)
    for path in ("/v1/launch", "/livez", "/v1/me", "/v1/sessions"):
        assert (await app.get(path, tokens)).status_code == 200
    assert (await app.log_out(tokens)).status_code == 204


async def test_the_addresses_and_sessions_that_are_counted_are_not_remembered_readably(
    app: RunningApp,
) -> None:
    tokens = await app.log_in()
    await app.refresh(tokens["refresh_token"])
    await statuses(app.phone, 1)
    limits: tuple[Any, ...] = (app.services.login_limit, app.services.sessions.refresh_limit)
    names = [name for limit in limits for name in limit.args[-1]._current]  # its MemoryCounter
    assert [type(name) for name in names] == [int, int]


async def test_instances_that_share_redis_count_together(tmp_path: Path, valkey: Server) -> None:
    settings = make_settings(
        tmp_path, store_url=parse_store_url(valkey.url), rate_limit_login="30/hour"
    )
    keyfile.create(settings.session_keys_file, "ES256")
    admitted = 0
    async with (
        open_services(settings, drain=asyncio.Event()) as first,
        open_services(settings, drain=asyncio.Event()) as second,
    ):
        for services in (first, second) * 25:
            with suppress(RateLimited):
                await services.login_limit("192.0.2.7")
                admitted += 1
    assert admitted == 30
    assert len([key for key in valkey.cli("KEYS", "*") if key.startswith("{tg}:limit:")]) == 1
