"""Several instances over one server: each decision is made once, with the same outcome for all."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from app.sessions.models import End, EndReason
from app.sessions.outcomes import Ended
from app.sessions.ports import Stores
from app.sessions.tokens import new_session_id
from app.stores.redis.codec import EVENTS, ban_key
from tests.stores.builders import DAY, NOW, SUBJECT, ban_of, keep, make_session, rotation_of
from tests.stores.redis.opening import PATIENCE, opened
from tests.support.valkey.servers import Server

INSTANCES = 4


@pytest.fixture
async def fleet(valkey: Server) -> AsyncIterator[Sequence[Stores]]:
    async with AsyncExitStack() as stack:
        opening = [opened(valkey.url, command_timeout=PATIENCE) for _ in range(INSTANCES)]
        yield [await stack.enter_async_context(one) for one in opening]


async def test_bans_outlast_an_instance_whose_clock_is_far_ahead(
    fleet: Sequence[Stores], valkey: Server
) -> None:
    right, wrong, *_ = fleet
    now = datetime.now(UTC)
    await right.bans.put(ban_of("another", at=now, until=now + 10 * DAY))
    await wrong.bans.put(ban_of(at=now + 40 * DAY, until=now + 41 * DAY))
    await wrong.sessions.erase("another", now + 40 * DAY)
    assert valkey.cli("TTL", ban_key(SUBJECT)) > 40 * DAY.total_seconds()
    assert [ban.subject for ban in await right.bans.list_bans(now)] == [SUBJECT, "another"]
    assert await right.bans.find("another", now) is not None


async def test_a_purge_needs_no_clock_where_the_server_expires_sessions(
    fleet: Sequence[Stores],
) -> None:
    now = datetime.now(UTC)
    await keep(fleet[0], make_session("session-a", created_at=now, expires_at=now + DAY))
    assert await fleet[0].maintenance.newest_login() is None
    assert await fleet[0].maintenance.purge(now + 40 * DAY) == 0
    assert [each.id for each in await fleet[1].sessions.active_sessions(SUBJECT, now)] == [
        "session-a"
    ]


@pytest.mark.parametrize("skew", [0, 50, -50], ids=["same", "ahead", "behind"])
async def test_the_feed_has_all_ends_on_every_instance_whatever_its_clock_shows(
    fleet: Sequence[Stores], skew: int
) -> None:
    now, life = datetime.now(UTC), timedelta(minutes=1)
    names = [f"session-{number}" for number in range(50)]
    for number, name in enumerate(names):
        instance = fleet[number % INSTANCES]
        at = now + timedelta(seconds=skew * (number % 2))
        limits = {"expires_at": now + DAY, "absolute_expires_at": now + DAY}
        await keep(instance, make_session(name, created_at=now, **limits))
        await instance.sessions.end(name, SUBJECT, End(EndReason.LOGGED_OUT, at))
    for instance in fleet:
        cursor, seen = "", []
        for reader in (instance, *fleet):
            page = await reader.sessions.revocations(cursor, now, life)
            seen += [each["sid"] for _, each in page.revocations]
            cursor = page.cursor
        assert seen == names


async def test_a_purge_keeps_an_event_as_long_as_an_access_token(valkey: Server) -> None:
    old, kept = f"{1000 * int(time.time() - 95)}-0", f"{1000 * int(time.time() - 85)}-0"
    async with opened(valkey.url, feed_ttl=timedelta(seconds=30)) as store:
        for event in (old, kept):
            valkey.cli("XADD", EVENTS, event, "session_id", "session")
        await store.maintenance.purge(NOW + 40 * DAY)
        assert [event for event, _ in valkey.cli("XRANGE", EVENTS, "-", "+")] == [kept]


@pytest.mark.parametrize("how", ["logged out", "kicked", "banned", "erased"])
async def test_no_token_of_a_session_works_after_its_end_was_acknowledged(
    fleet: Sequence[Stores], how: str
) -> None:
    ends = {
        "logged out": lambda s, i, u: s.sessions.end(i, u, End(EndReason.LOGGED_OUT, NOW)),
        "kicked": lambda s, i, u: s.sessions.end_all(u, End(EndReason.KICKED, NOW)),
        "banned": lambda s, i, u: s.bans.put(ban_of(u)),
        "erased": lambda s, i, u: s.sessions.erase(u, NOW),
    }
    first, second, third, _ = fleet

    async def race(number: int) -> None:
        subject = f"{how}-{number}"
        session_id = new_session_id()
        await keep(first, make_session(session_id, subject=subject))

        async def refresh() -> None:
            for generation in range(10):
                await second.sessions.rotate(rotation_of(generation, session_id=session_id))

        refreshing = asyncio.create_task(refresh())
        await asyncio.sleep(0.001 * (number % 5))
        await ends[how](third, session_id, subject)
        for generation in range(12):
            after = await first.sessions.rotate(rotation_of(generation, session_id=session_id))
            assert isinstance(after, Ended)
        await refreshing
        assert list(await first.sessions.active_sessions(subject, NOW)) == []

    await asyncio.gather(*map(race, range(30)))
