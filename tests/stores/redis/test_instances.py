"""Several instances over one server: each decision is made once, with the same outcome for all."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from app.sessions.outcomes import Ended
from app.sessions.ports import Stores
from app.stores.redis.codec import BAN_PREFIX, EVENTS
from tests.stores.builders import DAY, NOW, SUBJECT, ban_of
from tests.stores.redis.opening import PATIENCE, opened
from tests.stores.steps import (
    Act,
    active_ids,
    add,
    end,
    end_all,
    erase,
    play,
    purge,
    put,
    rotate,
    run,
)
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
    await run(right, put(ban_of("another", at=now, until=now + 10 * DAY)))
    await run(wrong, put(ban_of(at=now + 40 * DAY, until=now + 41 * DAY)))
    await run(wrong, erase(now + 40 * DAY, "another"))
    assert valkey.cli("TTL", BAN_PREFIX + SUBJECT) > 40 * DAY.total_seconds()
    assert [ban.subject for ban in await right.bans.list_bans(now)] == [SUBJECT, "another"]
    assert await right.bans.find("another", now) is not None


async def test_a_purge_needs_no_clock_where_the_server_expires_sessions(
    fleet: Sequence[Stores],
) -> None:
    now = datetime.now(UTC)
    await run(fleet[0], add(created_at=now, expires_at=now + DAY))
    assert await fleet[0].maintenance.newest_login() is None
    await play(fleet[0], (purge(now + 40 * DAY), 0))
    await play(fleet[1], (active_ids(now), ["session-a"]))


@pytest.mark.parametrize("skew", [0, 50, -50], ids=["same", "ahead", "behind"])
async def test_the_feed_has_all_ends_on_every_instance_whatever_its_clock_shows(
    fleet: Sequence[Stores], skew: int
) -> None:
    now, life = datetime.now(UTC), timedelta(minutes=1)
    names = [f"session-{number}" for number in range(50)]
    for number, name in enumerate(names):
        instance = fleet[number % INSTANCES]
        at = now + timedelta(seconds=skew * (number % 2))
        session = add(name, created_at=now, expires_at=now + DAY, absolute_expires_at=now + DAY)
        await run(instance, session, end(at=at, session_id=name))
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


@pytest.mark.parametrize(
    "end_for",
    [
        lambda user: end(session_id=user, subject=user),
        lambda user: end_all(subject=user),
        lambda user: put(ban_of(user)),
        lambda user: erase(subject=user),
    ],
    ids=["logged out", "kicked", "banned", "erased"],
)
async def test_no_token_of_a_session_works_after_its_end_was_acknowledged(
    fleet: Sequence[Stores], end_for: Callable[[str], Act]
) -> None:
    first, second, third, _ = fleet

    async def race(number: int) -> None:
        user = f"user-{number}"  # the name of the session as well
        rotations = [rotate(generation, session_id=user) for generation in range(12)]
        await run(first, add(user, subject=user))
        refreshing = asyncio.create_task(run(second, *rotations[:10]))
        await asyncio.sleep(0.001 * (number % 5))
        await run(third, end_for(user))
        await play(first, *((rotation, Ended) for rotation in rotations))
        await refreshing
        await play(first, (active_ids(subject=user), []))

    await asyncio.gather(*map(race, range(30)))
