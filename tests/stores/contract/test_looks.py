"""When a user is to be looked at again, for all instances together."""

import asyncio
from datetime import timedelta

from app.sessions.ports import Stores
from tests.stores.builders import HOUR, NOW, SECOND, SUBJECT


async def is_due(store: Stores, after: timedelta = timedelta()) -> bool:
    """Whether a look is due then; if so, the next one is due an hour later."""
    await store.maintenance.purge(NOW + after)
    return await store.sessions.schedule_look(SUBJECT, NOW + after, HOUR)


async def test_a_look_is_due_once_in_each_period(store: Stores) -> None:
    ages = [timedelta(), SECOND, HOUR - SECOND, HOUR, HOUR + SECOND, 2 * HOUR]
    due = [await is_due(store, age) for age in ages]
    assert due == [True, False, False, True, False, True]
    assert await store.sessions.schedule_look("another-user", NOW, HOUR)


async def test_of_concurrent_callers_one_looks(store: Stores) -> None:
    calls = (store.sessions.schedule_look(SUBJECT, NOW, HOUR) for _ in range(20))
    assert sum(await asyncio.gather(*calls)) == 1


async def test_a_forced_look_is_due_and_moves_the_next_one(store: Stores) -> None:
    assert await is_due(store)
    assert await store.sessions.schedule_look(SUBJECT, NOW + SECOND, HOUR, force=True)
    assert not await is_due(store, HOUR)
    assert await is_due(store, HOUR + SECOND)


async def test_an_erasure_forgets_when_the_user_was_looked_at(store: Stores) -> None:
    assert await is_due(store)
    await store.sessions.erase(SUBJECT, NOW)
    assert await is_due(store, SECOND)


async def test_a_note_that_is_over_is_purged(store: Stores) -> None:
    assert await is_due(store)
    assert await store.maintenance.purge(NOW + HOUR - SECOND) == 0
    assert await store.maintenance.purge(NOW + HOUR) == 1
