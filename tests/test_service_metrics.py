"""The gauges of a whole service, as a scrape of its port shows them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import keyfile
from app.authing.resilience import FAILURE_THRESHOLD
from app.jose.key_ring import KeyRing
from app.keyfile.followed import KeyFile
from app.main import _ASK_EVERY
from tests.support.logging_state import entries_of, logging_as_in_production
from tests.support.processes import free_port
from tests.support.running_app import RunningApp, running_app
from tests.support.transports import Dated

Scrape: TypeAlias = Callable[[], Awaitable[dict[str, float]]]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def app(tmp_path: Path, port: int) -> AsyncIterator[RunningApp]:
    changes = {"trusted_proxies": (ip_network("127.0.0.0/8"),), "rate_limit_login": "1/minute"}
    async with running_app(tmp_path, metrics_port=port, host="127.0.0.1", **changes) as opened:
        yield opened


@pytest.fixture
async def scrape(port: int) -> AsyncIterator[Scrape]:
    """Return the values of series without labels, and of others as `name{value of a label}`."""
    async with httpx.AsyncClient(trust_env=False) as prometheus:

        async def read() -> dict[str, float]:
            text = (await prometheus.get(f"http://127.0.0.1:{port}/metrics")).text
            return {
                sample.name.removeprefix("ticketgate_")
                + "".join(f"{{{v}}}" for v in sample.labels.values()): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }

        yield read


async def test_readiness_and_the_drain_are_shown(app: RunningApp, scrape: Scrape) -> None:
    shown = await scrape()
    assert (shown["ready"], shown["draining"]) == (1, 0)
    app.drain.set()
    shown = await scrape()
    assert (shown["ready"], shown["draining"]) == (0, 1)


async def test_a_store_that_is_down_is_not_ready_and_its_failures_are_counted(
    app: RunningApp, scrape: Scrape
) -> None:
    tokens = await app.log_in()
    app.break_store()
    await app.get("/v1/me", tokens)
    app.clock.advance(seconds=_ASK_EVERY)
    shown = await scrape()
    assert shown["store_failures_total"] > 0
    assert "open_sessions" not in shown  # not known any more


async def test_open_sessions_of_the_store_are_counted_once_a_minute(
    app: RunningApp, scrape: Scrape
) -> None:
    tokens = [await app.log_in(persona) for persona in ("lin", "mei", "mei")]
    await app.log_out(tokens[0])
    assert (await scrape())["open_sessions"] == 2
    await app.log_in()
    assert (await scrape())["open_sessions"] == 2
    app.clock.advance(seconds=_ASK_EVERY)
    assert (await scrape())["open_sessions"] == 3


async def test_the_clock_skew_is_authings_time_minus_ours(app: RunningApp, scrape: Scrape) -> None:
    assert "authing_clock_skew_seconds" not in await scrape()  # the fake sends no Date
    ahead = timedelta(seconds=42)
    app.wire.authing = Dated(
        app.wire.authing, lambda: format_datetime(app.clock() + ahead, usegmt=True)
    )
    app.clock.advance(seconds=_ASK_EVERY)
    assert (await scrape())["authing_clock_skew_seconds"] == 42
    app.wire.failure = ConnectionError()
    app.clock.advance(seconds=_ASK_EVERY)
    assert (await scrape())["authing_clock_skew_seconds"] == 42


async def test_exchanges_in_flight_and_an_open_breaker_are_shown(
    app: RunningApp, scrape: Scrape
) -> None:
    await scrape()
    app.wire.asked.clear()
    app.wire.open.clear()
    login = asyncio.create_task(app.log_in())
    await app.wire.asked.wait()
    assert (await scrape())["exchanges_in_flight"] == 1
    app.wire.open.set()
    await login
    app.wire.failure = ConnectionRefusedError()
    assert (await scrape())["breaker_open"] == 0
    for number in range(FAILURE_THRESHOLD):
        address = {"X-Forwarded-For": f"192.0.2.{number}"}
        await app.phone.post("/v1/sessions", json={"ticket": app.ticket()}, headers=address)
    shown = await scrape()
    assert (shown["breaker_open"], shown["exchanges_in_flight"]) == (1, 0)


async def test_each_key_is_shown_with_its_age_and_a_broken_file_until_it_is_repaired(
    app: RunningApp, scrape: Scrape
) -> None:
    path = app.settings.session_keys_file
    keyfile.add(path, "ES256", clock=lambda: 1_800_000_000)
    keys = app.services.keys
    assert isinstance(keys, KeyFile)
    keys.follow()
    shown = await scrape()
    ring = KeyRing.from_jwk_set(path.read_bytes())
    name = "key_created_timestamp_seconds"
    new, old = ring.signing_keys[1].kid, ring.signing_keys[0].kid
    assert shown[f"{name}{{{new}}}{{accepted}}{{sign}}"] == 1_800_000_000
    assert {
        f"{name}{{{old}}}{{current}}{{sign}}",
        f"{name}{{{ring.secret_keys[0].kid}}}{{current}}{{secret}}",
    } < shown.keys()
    good = path.read_bytes()
    path.write_bytes(b"{}")
    keys.follow()
    broken = await scrape()
    assert (broken["reload_failing{keys}"], broken["reload_failing{secrets}"]) == (1, 0)
    assert {each for each in broken if each.startswith(name)} == {
        each for each in shown if each.startswith(name)
    }
    path.write_bytes(json.dumps({"keys": json.loads(good)["keys"][:-1]}).encode())
    keys.follow()
    repaired = await scrape()
    assert repaired["reload_failing{keys}"] == 0
    assert not any(new in each for each in repaired)


async def test_commands_of_the_store_are_timed(app: RunningApp, scrape: Scrape) -> None:
    tokens = await app.log_in()
    await app.refresh(tokens["refresh_token"])
    await app.get("/v1/me", tokens)
    await app.get("/authz", tokens)
    shown = await scrape()
    name = "store_command_duration_seconds_count"
    assert [
        shown[f"{name}{{{command}}}"]
        for command in ("acquire", "create_session", "rotate", "check", "touch")
    ] == [1, 1, 1, 1, 1]


async def test_a_login_over_its_limit_is_counted_and_is_one_line(
    app: RunningApp, scrape: Scrape
) -> None:
    assert (await scrape())["rate_limited_total{login}"] == 0
    with logging_as_in_production() as output:
        for _ in range(2):
            await app.phone.post("/v1/sessions", json={"ticket": "an-unknown-ticket"})
    shown = await scrape()
    assert (shown["rate_limited_total{login}"], shown["logins_total{rate_limited}"]) == (1, 1)
    lines = [line for line in entries_of(output) if line["level"] != "debug"]
    assert [line["status"] for line in lines] == [400, 429]
