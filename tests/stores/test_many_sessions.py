"""A user with very many sessions: no command is slow for other users because of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.sessions.models import End, EndReason
from app.sessions.outcomes import Ended
from app.sessions.ports import MAX_SESSIONS, SessionLimits, Stores
from app.stores.redis.codec import SESSION_PREFIX, TOMBSTONES_PREFIX
from tests.stores.builders import NOW, SECOND, SUBJECT, ban_of, keep, make_session
from tests.stores.factories import sqlite
from tests.stores.redis.opening import PATIENCE, opened
from tests.support.valkey.process import Monitor
from tests.support.valkey.servers import Server

COUNT = MAX_SESSIONS + 150
NAMES = [f"session-{number}" for number in range(COUNT)]


@pytest.fixture(params=["sqlite", "valkey"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param == "sqlite":
        opening = sqlite(tmp_path)
    else:
        opening = opened(request.getfixturevalue("valkey").url, command_timeout=PATIENCE)
    async with opening as stores:
        yield stores


async def fill(store: Stores, count: int, limit: int, *, device_type: str = "ios") -> None:
    limits = SessionLimits(max_per_user=limit, one_per_device_type=False)
    sessions = [
        make_session(name, created_at=NOW + number * SECOND, device_type=device_type)
        for number, name in enumerate(NAMES[:count])
    ]
    await asyncio.gather(*(keep(store, session, limits) for session in sessions))


async def test_sessions_above_every_limit_are_listed_and_ended_in_parts(store: Stores) -> None:
    await fill(store, COUNT, limit=COUNT)
    later = NOW + COUNT * SECOND
    listed = [each.id for each in await store.sessions.active_sessions(SUBJECT, later)]
    assert listed == NAMES[-MAX_SESSIONS:]

    ended = await store.sessions.end_all(SUBJECT, End(EndReason.KICKED, later), keep=NAMES[1])
    assert ended == [NAMES[0], *NAMES[2:]]
    assert [each.id for each in await store.sessions.active_sessions(SUBJECT, later)] == [NAMES[1]]


async def test_a_lowered_limit_ends_at_most_a_thousand_sessions_for_each_login(
    store: Stores,
) -> None:
    await fill(store, COUNT, limit=COUNT)
    later, ten = NOW + COUNT * SECOND, SessionLimits(max_per_user=10, one_per_device_type=False)
    replaced = await keep(store, make_session("new", created_at=later), ten)
    assert replaced == NAMES[:MAX_SESSIONS]
    replaced = await keep(store, make_session("newer", created_at=later), ten)
    assert replaced == NAMES[MAX_SESSIONS : COUNT - 8]


@pytest.mark.parametrize("end", ["ban", "erase"])
async def test_sessions_above_every_limit_are_banned_and_erased(store: Stores, end: str) -> None:
    await fill(store, COUNT, limit=COUNT)
    later = NOW + COUNT * SECOND
    if end == "ban":
        assert await store.bans.put(ban_of(at=later)) == NAMES
    else:
        assert await store.sessions.erase(SUBJECT, later) == NAMES
    assert await store.sessions.touch(NAMES[-1], 0, later) == Ended(
        EndReason.BANNED if end == "ban" else EndReason.ERASED
    )


async def test_a_login_runs_as_many_commands_beside_300_sessions_as_beside_10(
    valkey: Server,
) -> None:
    counts = []
    async with opened(valkey.url, command_timeout=PATIENCE) as store:
        for size in (10, 300):
            await fill(store, size, limit=size, device_type="android")
            limits = SessionLimits(max_per_user=size, one_per_device_type=True)
            await keep(store, make_session(f"first-{size}", device_type="ios"), limits)
            with Monitor(valkey) as monitor:
                await keep(store, make_session(f"second-{size}", device_type="ios"), limits)
                counts.append(len(monitor.commands()))
            await store.sessions.end_all(SUBJECT, End(EndReason.KICKED, NOW))
            valkey.flush()
    assert counts[0] == counts[1]


async def test_the_list_of_tombstones_loses_those_that_have_expired(valkey: Server) -> None:
    async with opened(valkey.url, command_timeout=PATIENCE) as store:
        await fill(store, 15, limit=100)
        await store.sessions.end_all(SUBJECT, End(EndReason.KICKED, NOW))
        for name in NAMES[:14]:
            valkey.cli("DEL", SESSION_PREFIX + name)
        await keep(store, make_session("last"))
        await store.sessions.end("last", SUBJECT, End(EndReason.LOGGED_OUT, NOW))
    assert valkey.cli("LRANGE", TOMBSTONES_PREFIX + SUBJECT, 0, -1) == [NAMES[14], "last"]
