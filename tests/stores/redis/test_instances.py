"""Several instances over one server: each decision is made once, with the same outcome for all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from itertools import cycle

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import (
    Acquired,
    AlreadyUsed,
    Ended,
    Held,
    KeyConflict,
    Opened,
    Replayed,
    Rotated,
)
from app.sessions.ports import Stores
from app.sessions.refresh_tokens import new_session_id
from app.stores.redis.codec import ticket_key
from tests.stores.builders import (
    LEASE,
    NOW,
    SUBJECT,
    UNLIMITED,
    ban_of,
    keep,
    lease_of,
    make_session,
    rotation_of,
)
from tests.stores.redis.opening import PATIENCE, SESSION, engine_of, opened
from tests.support.valkey.servers import Server

INSTANCES = 4
CALLERS = 100
ROUNDS = 5


@pytest.fixture
async def fleet(valkey: Server) -> AsyncIterator[Sequence[Stores]]:
    async with AsyncExitStack() as stack:
        opening = [opened(valkey.url, command_timeout=PATIENCE) for _ in range(INSTANCES)]
        yield [await stack.enter_async_context(one) for one in opening]


async def test_100_concurrent_rotations_make_one_successor(
    fleet: Sequence[Stores],
) -> None:
    await keep(fleet[0], make_session(SESSION))
    for generation in range(ROUNDS):
        same = rotation_of(generation, session_id=SESSION)
        calls = [
            one.sessions.rotate(same) for one, _ in zip(cycle(fleet), range(CALLERS), strict=False)
        ]
        outcomes = await asyncio.gather(*calls)
        assert Counter(map(type, outcomes)) == {Rotated: 1, Replayed: CALLERS - 1}
        told = {one.session for one in outcomes if isinstance(one, Rotated | Replayed)}
        assert [session.generation for session in told] == [generation + 1]


async def test_100_logins_with_one_ticket_make_one_session(
    fleet: Sequence[Stores],
) -> None:
    async def log_in(number: int) -> object:
        store = fleet[number % INSTANCES]
        lease = lease_of(ticket, key="key-a", holder=f"holder-{number}")
        outcome = await store.tickets.acquire(lease)
        if outcome != Acquired():
            return outcome
        return await store.tickets.create_session(lease, make_session(new_session_id()), UNLIMITED)

    for number in range(ROUNDS):
        ticket = f"ticket-{number}"
        outcomes = await asyncio.gather(*map(log_in, range(CALLERS)))
        (session,) = await fleet[0].sessions.active_sessions(SUBJECT, NOW)
        assert outcomes.count(Opened([])) == 1
        assert set(map(str, outcomes)) <= {
            str(Opened([])),
            str(Held(NOW + LEASE)),
            str(AlreadyUsed(session)),
        }
        await fleet[0].sessions.end(session.id, SUBJECT, EndReason.LOGGED_OUT, NOW)
        # A key serves one ticket at a time, and this one does still.
        assert await fleet[1].tickets.acquire(lease_of("elsewhere", key="key-a")) == KeyConflict()
        key = lease_of(ticket, key="key-a")
        assert await fleet[1].tickets.acquire(key) == AlreadyUsed(None)
        await _forget_ticket(fleet[0], ticket)


async def _forget_ticket(store: Stores, ticket: str) -> None:
    await engine_of(store).execute("DEL", ticket_key(lease_of(ticket).ticket_hash))


@pytest.mark.parametrize("how", ["logged out", "kicked", "banned", "erased"])
async def test_no_token_of_a_session_works_after_its_end_was_acknowledged(
    fleet: Sequence[Stores], how: str
) -> None:
    ends = {
        "logged out": lambda s, i, u: s.sessions.end(i, u, EndReason.LOGGED_OUT, NOW),
        "kicked": lambda s, i, u: s.sessions.end_all(u, EndReason.KICKED, NOW),
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
