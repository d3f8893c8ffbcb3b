"""Concurrent callers: one decision, and the same outcome for all."""

import asyncio
from collections import Counter
from itertools import chain
from typing import Any

from app.sessions.models import EndReason
from app.sessions.outcomes import (
    Acquired,
    AlreadyUsed,
    Banned,
    Ended,
    Held,
    KeyConflict,
    Opened,
    Replayed,
    Reused,
    Rotated,
)
from app.sessions.ports import Stores
from tests.stores.builders import DAY, LEASE, NOW, ONE, SUBJECT, ban_of, lease_of
from tests.stores.steps import Act, acquire, active_ids, add, create, end, play, put, rotate, run

CALLERS = 100
NAMES = [f"session-{number}" for number in range(CALLERS)]
LOGGED_OUT = Ended(EndReason.LOGGED_OUT)
CHANGED = Ended(EndReason.LOGGED_OUT, changed=True)


async def together(store: Stores, *acts: Act) -> list[Any]:
    """Run the commands at once; return their outcomes."""
    return await asyncio.gather(*(act(store) for act in acts))


async def test_one_of_100_concurrent_rotations_makes_the_successor(store: Stores) -> None:
    await run(store, add())
    outcomes = await together(store, *[rotate(0)] * CALLERS)
    assert Counter(map(type, outcomes)) == {Rotated: 1, Replayed: CALLERS - 1}
    sessions = {each.session for each in outcomes if isinstance(each, (Rotated, Replayed))}
    assert [session.generation for session in sessions] == [1]


async def test_one_of_100_rotations_without_a_window_wins_and_the_session_ends(
    store: Stores,
) -> None:
    await run(store, add())
    outcomes = await together(store, *[rotate(0, window=0 * DAY)] * CALLERS)
    assert Counter(map(type, outcomes)) == {Rotated: 1, Reused: 1, Ended: CALLERS - 2}


async def test_no_rotation_in_flight_survives_an_end(store: Stores) -> None:
    await together(store, *map(add, NAMES))
    acts: list[Act] = []
    for number, name in enumerate(NAMES):
        pair = [rotate(0, session_id=name), end(session_id=name)]
        acts += pair if number % 2 else reversed(pair)
    assert (await together(store, *acts)).count(CHANGED) == CALLERS
    for generation in range(3):
        again = await together(store, *(rotate(generation, session_id=name) for name in NAMES))
        assert again == [LOGGED_OUT] * CALLERS


async def test_one_of_100_concurrent_ends_is_reported_as_changed(store: Stores) -> None:
    await run(store, add())
    outcomes = await together(store, *[end()] * CALLERS)
    assert Counter(outcomes) == {LOGGED_OUT: CALLERS - 1, CHANGED: 1}


# --- logins ---


async def test_one_of_100_concurrent_logins_acquires_the_ticket(store: Stores) -> None:
    leases = (lease_of(key="key-a", holder=f"holder-{n}") for n in range(CALLERS))
    outcomes = Counter(await together(store, *map(acquire, leases)))
    assert outcomes == {Acquired(): 1, Held(NOW + LEASE): CALLERS - 1}


async def test_one_idempotency_key_serves_one_of_100_concurrent_tickets(store: Stores) -> None:
    leases = (lease_of(f"ticket-{n}", key="key-a", holder=f"holder-{n}") for n in range(CALLERS))
    outcomes = Counter(await together(store, *map(acquire, leases)))
    assert outcomes == {Acquired(): 1, KeyConflict(): CALLERS - 1}


async def test_one_of_100_concurrent_creations_opens_the_session(store: Stores) -> None:
    lease = lease_of(key="key-a")
    await run(store, acquire(lease))
    outcomes = await together(store, *(create(lease, name) for name in NAMES))
    (active,) = await store.sessions.active_sessions(SUBJECT, NOW)
    assert outcomes.count(Opened([])) == 1
    assert outcomes.count(AlreadyUsed(active)) == CALLERS - 1


async def test_concurrent_logins_never_exceed_the_session_limit(store: Stores) -> None:
    replaced = await together(store, *(add(name, ONE) for name in NAMES))
    (active,) = await store.sessions.active_sessions(SUBJECT, NOW)
    assert sorted([*chain(*replaced), active.id]) == sorted(NAMES)


async def test_no_login_in_flight_survives_a_ban(store: Stores) -> None:
    logins = [create(lease_of(f"ticket of {name}"), name) for name in NAMES[:20]]
    await play(store, (logins[0], Opened([])))
    await together(store, *logins[1:10], put(ban_of()), *logins[10:19])
    await play(store, (logins[19], Banned(None)), (active_ids(), []))
