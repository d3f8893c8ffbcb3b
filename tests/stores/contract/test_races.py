"""Concurrent callers: one decision, and the same outcome for all."""

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import chain

import pytest

from app.sessions.models import End, EndReason
from app.sessions.outcomes import (
    Acquired,
    Active,
    AlreadyUsed,
    Banned,
    Ended,
    Held,
    KeyConflict,
    Opened,
    Replayed,
    Reused,
    Rotated,
    Unknown,
)
from app.sessions.ports import Stores
from tests.stores.builders import (
    DAY,
    IDLE,
    LEASE,
    NOW,
    ONE,
    SUBJECT,
    UNLIMITED,
    ban_of,
    keep,
    lease_of,
    make_session,
    rotation_of,
)

CALLERS = 100


async def test_one_of_100_concurrent_rotations_makes_the_successor(store: Stores) -> None:
    await keep(store, make_session())
    outcomes = await asyncio.gather(
        *(store.sessions.rotate(rotation_of(0)) for _ in range(CALLERS))
    )
    assert Counter(map(type, outcomes)) == {Rotated: 1, Replayed: CALLERS - 1}
    sessions = {each.session for each in outcomes if isinstance(each, (Rotated, Replayed))}
    assert [session.generation for session in sessions] == [1]


async def test_one_of_100_rotations_without_a_window_wins_and_the_session_ends(
    store: Stores,
) -> None:
    await keep(store, make_session())
    strict = rotation_of(0, window=0 * DAY)
    outcomes = await asyncio.gather(*(store.sessions.rotate(strict) for _ in range(CALLERS)))
    assert Counter(map(type, outcomes)) == {Rotated: 1, Reused: 1, Ended: CALLERS - 2}


async def _log_out_during_a_refresh(store: Stores, session_id: str, *, log_out_first: bool) -> None:
    refresh = store.sessions.rotate(rotation_of(0, session_id=session_id))
    log_out = store.sessions.end(session_id, SUBJECT, End(EndReason.LOGGED_OUT, NOW))
    both = (log_out, refresh) if log_out_first else (refresh, log_out)
    assert Ended(EndReason.LOGGED_OUT, changed=True) in await asyncio.gather(*both)


async def test_no_rotation_in_flight_survives_an_end(store: Stores) -> None:
    names = [f"session-{number}" for number in range(CALLERS)]
    await asyncio.gather(*(keep(store, make_session(name)) for name in names))
    await asyncio.gather(
        *(
            _log_out_during_a_refresh(store, name, log_out_first=number % 2 == 0)
            for number, name in enumerate(names)
        )
    )
    for generation in range(3):
        after = [rotation_of(generation, session_id=name) for name in names]
        outcomes = await asyncio.gather(*map(store.sessions.rotate, after))
        assert outcomes == [Ended(EndReason.LOGGED_OUT)] * CALLERS


async def test_one_of_100_concurrent_ends_is_reported_as_changed(store: Stores) -> None:
    await keep(store, make_session())
    ends = [
        store.sessions.end("session-a", SUBJECT, End(EndReason.LOGGED_OUT, NOW))
        for _ in range(CALLERS)
    ]
    outcomes = Counter(await asyncio.gather(*ends))
    ended = Ended(EndReason.LOGGED_OUT)
    assert outcomes == {ended: CALLERS - 1, replace(ended, changed=True): 1}


@pytest.mark.long
async def test_a_purge_deletes_thousands_of_due_sessions(store: Stores) -> None:
    names = [f"session-{number}" for number in range(2001)]
    await asyncio.gather(*(keep(store, make_session(name, subject=name)) for name in names))
    await keep(store, make_session("alive", expires_at=NOW + IDLE + 8 * DAY))
    due = NOW + IDLE + 7 * DAY
    assert await store.maintenance.purge(due) == len(names)
    assert await store.maintenance.purge(due) == 0
    assert await store.sessions.touch(names[-1], 0, due) == Unknown()
    assert isinstance(await store.sessions.touch("alive", 0, due), Active)


# --- logins ---


async def test_one_of_100_concurrent_logins_acquires_the_ticket(store: Stores) -> None:
    leases = [lease_of(key="key-a", holder=f"holder-{number}") for number in range(CALLERS)]
    outcomes = Counter(await asyncio.gather(*map(store.tickets.acquire, leases)))
    assert outcomes == {Acquired(): 1, Held(NOW + LEASE): CALLERS - 1}


async def test_one_idempotency_key_serves_one_of_100_concurrent_tickets(store: Stores) -> None:
    leases = [lease_of(f"ticket-{n}", key="key-a", holder=f"holder-{n}") for n in range(CALLERS)]
    outcomes = Counter(await asyncio.gather(*map(store.tickets.acquire, leases)))
    assert outcomes == {Acquired(): 1, KeyConflict(): CALLERS - 1}


async def test_one_of_100_concurrent_creations_opens_the_session(store: Stores) -> None:
    lease = lease_of(key="key-a")
    await store.tickets.acquire(lease)
    names = [f"session-{number}" for number in range(CALLERS)]
    opening = (store.tickets.create_session(lease, make_session(name), UNLIMITED) for name in names)
    outcomes = await asyncio.gather(*opening)
    (active,) = await store.sessions.active_sessions(SUBJECT, NOW)
    assert outcomes.count(Opened([])) == 1
    assert outcomes.count(AlreadyUsed(active)) == CALLERS - 1


async def test_concurrent_logins_never_exceed_the_session_limit(store: Stores) -> None:
    names = [f"session-{number}" for number in range(CALLERS)]
    replaced = await asyncio.gather(*(keep(store, make_session(name), ONE) for name in names))
    (active,) = await store.sessions.active_sessions(SUBJECT, NOW)
    assert sorted([*chain(*replaced), active.id]) == sorted(names)


async def test_no_login_in_flight_survives_a_ban(store: Stores) -> None:
    leases = [lease_of(f"ticket-{number}") for number in range(20)]
    opening = [
        store.tickets.create_session(lease, make_session(f"session-{number}"), UNLIMITED)
        for number, lease in enumerate(leases)
    ]
    outcomes = [
        await opening[0],
        *await asyncio.gather(*opening[1:10], store.bans.put(ban_of()), *opening[10:19]),
        await opening[19],
    ]
    assert Opened([]) in outcomes
    assert Banned(None) in outcomes
    assert list(await store.sessions.active_sessions(SUBJECT, NOW)) == []
