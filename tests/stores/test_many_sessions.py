"""A user with very many sessions: no command is slow for other users because of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Ended
from app.sessions.ports import MAX_SESSIONS, SessionLimits, Stores
from app.stores.redis.codec import SESSION_PREFIX, TOMBSTONES_PREFIX
from tests.stores.builders import NOW, SECOND, SUBJECT, ban_of
from tests.stores.factories import sqlite
from tests.stores.redis.opening import PATIENCE, opened
from tests.stores.steps import Act, active_ids, add, end, end_all, erase, play, put, run, touch
from tests.support.valkey.process import Monitor
from tests.support.valkey.servers import Server

COUNT = MAX_SESSIONS + 150
NAMES = [f"session-{number}" for number in range(COUNT)]
LATER = NOW + COUNT * SECOND


@pytest.fixture(params=["sqlite", "valkey"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param == "sqlite":
        opening = sqlite(tmp_path)
    else:
        opening = opened(request.getfixturevalue("valkey").url, command_timeout=PATIENCE)
    async with opening as stores:
        yield stores


def limit_of(count: int, *, one_per_device_type: bool = False) -> SessionLimits:
    return SessionLimits(max_per_user=count, one_per_device_type=one_per_device_type)


async def fill(store: Stores, count: int = COUNT, *, device_type: str = "ios") -> None:
    sessions = (
        add(name, limit_of(COUNT), created_at=NOW + number * SECOND, device_type=device_type)
        for number, name in enumerate(NAMES[:count])
    )
    await asyncio.gather(*(session(store) for session in sessions))


async def test_sessions_above_every_limit_are_listed_and_ended_in_parts(store: Stores) -> None:
    await fill(store)
    await play(
        store,
        (active_ids(LATER), NAMES[-MAX_SESSIONS:]),
        (end_all(at=LATER, keep=NAMES[1]), [NAMES[0], *NAMES[2:]]),
        (active_ids(LATER), [NAMES[1]]),
    )


async def test_a_lowered_limit_ends_at_most_a_thousand_sessions_for_each_login(
    store: Stores,
) -> None:
    await fill(store)
    await play(
        store,
        (add("new", limit_of(10), created_at=LATER), NAMES[:MAX_SESSIONS]),
        (add("newer", limit_of(10), created_at=LATER), NAMES[MAX_SESSIONS : COUNT - 8]),
    )


@pytest.mark.parametrize(
    ("act", "reason"),
    [(put(ban_of(at=LATER)), EndReason.BANNED), (erase(LATER), EndReason.ERASED)],
    ids=["ban", "erase"],
)
async def test_sessions_above_every_limit_are_banned_and_erased(
    store: Stores, act: Act, reason: EndReason
) -> None:
    await fill(store)
    await play(store, (act, NAMES), (touch(0, LATER, NAMES[-1]), Ended(reason)))


async def test_a_login_runs_as_many_commands_beside_300_sessions_as_beside_10(
    valkey: Server,
) -> None:
    counts = []
    async with opened(valkey.url, command_timeout=PATIENCE) as store:
        for size in (10, 300):
            await fill(store, size, device_type="android")
            limits = limit_of(size, one_per_device_type=True)
            await run(store, add("first", limits, device_type="ios"))
            with Monitor(valkey) as monitor:
                await run(store, add("second", limits, device_type="ios"))
                counts.append(len(monitor.commands()))
            valkey.flush()
    assert counts[0] == counts[1]


async def test_the_list_of_tombstones_loses_those_that_have_expired(valkey: Server) -> None:
    async with opened(valkey.url, command_timeout=PATIENCE) as store:
        await fill(store, 15)
        await run(store, end_all())
        valkey.cli("DEL", *(SESSION_PREFIX + name for name in NAMES[:14]))
        await run(store, add("last"), end(session_id="last"))
    assert valkey.cli("LRANGE", TOMBSTONES_PREFIX + SUBJECT, 0, -1) == [NAMES[14], "last"]
