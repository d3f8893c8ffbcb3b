"""`GET /internal/v1/revocations`: services that verify offline learn which sessions have ended."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import httpx
import pytest

from app.server.draining import DrainingServer
from app.sessions.history import MAX_FOLLOWERS
from app.sessions.models import RevocationPage, epoch, revocation
from app.sessions.ports import SessionStore
from tests.support.processes import until
from tests.support.running_app import SERVICE, RunningApp
from tests.support.serving import served

PATH = "/internal/v1/revocations"
STREAM = {**SERVICE, "Accept": "text/event-stream"}
TTL = 600


async def poll(app: RunningApp, after: str | None = None) -> dict[str, Any]:
    response = await app.phone.get(PATH, headers=SERVICE, params={"after": after} if after else {})
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


async def ended(app: RunningApp) -> str:
    tokens = await app.log_in()
    assert (await app.log_out(tokens)).status_code == 204
    session_id: str = tokens["session"]["id"]
    return session_id


# --- polling ---


async def test_a_poll_returns_each_end_with_its_reason_oldest_first(app: RunningApp) -> None:
    assert (await poll(app))["events"] == []
    first, second = await app.log_in(), await app.log_in()
    subject = first["user"]["sub"]
    await app.log_out(first)
    app.clock.advance(seconds=60)
    await app.backend("DELETE", subject, "sessions")
    page = await poll(app)
    assert page["poll_after"] == 2
    assert page["events"] == [
        {
            "sid": tokens["session"]["id"],
            "sub": subject,
            "reason": reason,
            "ended_at": at,
            "expires_at": at + TTL,
        }
        for tokens, reason, at in (
            (first, "logged_out", app.clock.epoch - 60),
            (second, "kicked", app.clock.epoch),
        )
    ]


async def test_a_cursor_leads_to_what_is_new(app: RunningApp) -> None:
    await ended(app)
    cursor = (await poll(app))["cursor"]
    new = await ended(app)
    assert [each["sid"] for each in (await poll(app, cursor))["events"]] == [new]
    app.clock.advance(seconds=TTL)
    assert (await poll(app))["events"] == []


class FullPages:
    """A store whose feed has no end."""

    async def revocations(self, after: str, now: datetime, access_ttl: timedelta) -> RevocationPage:
        one = revocation("session", None, "kicked", epoch(now), epoch(now + access_ttl))
        return RevocationPage([("cursor", one)] * 1000, "cursor", more=True)


async def test_more_ends_than_a_response_holds_are_asked_for_at_once(app: RunningApp) -> None:
    app.services.revocations.store = cast("SessionStore", FullPages())
    page = await poll(app)
    assert (len(page["events"]), page["cursor"], page["poll_after"]) == (10_000, "cursor", 0)


# --- streaming ---


class Stream:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def block(self) -> dict[str, str]:
        """The fields of the next block. A comment has an empty name."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(30):
            async for line in self._lines:
                if not line:
                    return fields
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        raise EOFError

    async def event(self) -> tuple[str, dict[str, Any]]:
        """The id and the data of the next event."""
        while "data" not in (block := await self.block()):
            pass
        return block["id"], json.loads(block["data"])

    async def ends(self) -> bool:
        try:
            while await self.block():
                pass
        except EOFError:
            return True
        return False


@dataclass
class Feed:
    """The service behind sockets. A client must read within a second."""

    server: DrainingServer
    running: asyncio.Task[None]
    http: httpx.AsyncClient

    @asynccontextmanager
    async def stream(
        self, accept: str = "text/event-stream", after: str = "", **headers: str
    ) -> AsyncIterator[Stream]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {**SERVICE, "Accept": accept, **named}
        async with self.http.stream("GET", PATH, params={"after": after}, headers=headers) as found:
            yield Stream(found)

    async def closes(self) -> bool:
        await until(lambda: not self.server.server_state.connections)
        return True


@pytest.fixture
async def feed(app: RunningApp) -> AsyncIterator[Feed]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        served(app.serve(), drain=app.drain, deadline=1) as running,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{running.port}", timeout=30, trust_env=False, limits=limits
        ) as http,
    ):
        yield Feed(running.server, running.running, http)


async def test_a_stream_pushes_each_end_within_100_ms(app: RunningApp, feed: Feed) -> None:
    before = await ended(app)
    async with feed.stream() as stream:
        headers = stream.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert await stream.block() == {"retry": "2000"}
        cursor, event = await stream.event()
        assert event["sid"] == before
        behind = []
        for _ in range(5):
            tokens = await app.log_in()
            await app.log_out(tokens)
            answered = time.monotonic()
            cursor, event = await stream.event()
            behind.append(time.monotonic() - answered)
            assert event == (await poll(app))["events"][-1]
            assert event["sid"] == tokens["session"]["id"]
            assert (await poll(app))["cursor"] == cursor
        assert min(behind) < 0.1  # the machine may be busy now and then


@pytest.mark.parametrize(
    "accept",
    ["text/event-stream", "Text/Event-Stream;charset=utf-8", "application/json, text/event-stream"],
)
async def test_a_stream_begins_behind_the_last_event_that_came(
    app: RunningApp, feed: Feed, accept: str
) -> None:
    first, _, third = await ended(app), await ended(app), await ended(app)
    async with feed.stream() as stream:
        oldest, event = await stream.event()
        newer, _ = await stream.event()
    assert event["sid"] == first
    async with feed.stream(accept, after=oldest, Last_Event_ID=newer) as stream:
        assert (await stream.event())[1]["sid"] == third
    async with feed.stream(accept, after=newer) as stream:
        assert (await stream.event())[1]["sid"] == third


async def test_a_stream_shows_that_it_is_alive(app: RunningApp, feed: Feed) -> None:
    app.services.revocations.heartbeat = 0.02
    async with feed.stream() as stream:
        blocks = [await stream.block() for _ in range(5)]
    assert blocks[2:] == [{"": ""}] * 3


async def test_a_stream_ends_when_the_process_is_about_to_stop(app: RunningApp, feed: Feed) -> None:
    session_id = await ended(app)
    async with feed.stream() as stream:
        assert (await stream.event())[1]["sid"] == session_id
        app.drain.set()
        began = time.monotonic()
        assert await stream.ends()
        assert time.monotonic() - began < 1
    async with feed.stream() as stream:
        assert (await stream.event())[1]["sid"] == session_id
        assert await stream.ends()


async def test_a_stream_ends_when_the_store_cannot_be_asked(app: RunningApp, feed: Feed) -> None:
    session_id = await ended(app)
    async with feed.stream() as stream:
        assert (await stream.event())[1]["sid"] == session_id
        await until(lambda: app.services.revocations._news._waiters)
        app.break_store()
        began = time.monotonic()
        assert await stream.ends()
        assert time.monotonic() - began < 3  # before the next heartbeat


async def test_the_server_stops_without_waiting_for_its_streams(feed: Feed) -> None:
    async with feed.stream() as stream:
        feed.server.handle_exit(signal.SIGTERM, None)
        began = time.monotonic()
        await feed.running
        assert time.monotonic() - began < 3
        assert await stream.ends()


async def test_streams_beyond_the_limit_are_refused_until_one_leaves(feed: Feed) -> None:
    async with AsyncExitStack() as streams:
        for _ in range(MAX_FOLLOWERS):
            stream = await streams.enter_async_context(feed.stream())
            assert stream.response.status_code == 200
        async with feed.stream() as refused:
            assert refused.response.status_code == 429
            assert refused.response.headers["retry-after"] == "2"
    left = time.monotonic()
    assert await feed.closes()
    assert time.monotonic() - left < 3  # before the next heartbeat
    async with feed.stream() as stream:
        assert stream.response.status_code == 200


async def test_a_client_that_does_not_read_its_stream_is_disconnected(
    app: RunningApp, feed: Feed
) -> None:
    app.services.revocations.store = cast("SessionStore", FullPages())
    url = feed.http.base_url
    _, writer = await asyncio.open_connection(url.host, url.port, limit=1)
    lines = [f"GET {PATH} HTTP/1.1", "Host: api.test", *(f"{n}: {v}" for n, v in STREAM.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await until(lambda: feed.server.server_state.connections)
    assert await feed.closes()
    writer.close()
