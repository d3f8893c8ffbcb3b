"""The records of the history: bounded, and complete for sessions that are older than they."""

from collections.abc import AsyncIterator

import pytest

from app.sessions.models import End, EndReason, epoch
from app.sessions.ports import Stores
from app.stores.redis.codec import RECORD_PREFIX, RECORDS_PREFIX
from tests.stores.builders import (
    HOUR,
    NOW,
    SUBJECT,
    UNLIMITED,
    ban_of,
    keep,
    lease_of,
    make_session,
    rotation_of,
)
from tests.stores.redis.opening import opened
from tests.support.valkey.servers import Server


@pytest.fixture
async def store(valkey: Server) -> AsyncIterator[Stores]:
    async with opened(valkey.url) as store:
        yield store


async def test_the_thousand_newest_sessions_of_a_user_have_records(
    store: Stores, valkey: Server
) -> None:
    for number in range(1003):
        await keep(store, make_session(f"session-{number}"), UNLIMITED)
    sessions, _ = await store.history.of_user(SUBJECT)
    assert len(sessions) == 1000
    assert len(valkey.cli("KEYS", RECORD_PREFIX + "*")) == 1000
    for number in range(150):
        await store.bans.put(ban_of(at=NOW + number * HOUR))
    assert len((await store.history.of_user(SUBJECT))[1]) == 100


@pytest.mark.parametrize("change", ["refresh", "end"])
async def test_a_session_without_a_record_gets_one_at_its_next_change(
    store: Stores, valkey: Server, change: str
) -> None:
    session = make_session(device_type="ios", generation=7)
    await store.tickets.create_session(lease_of(key="key"), session, UNLIMITED)
    valkey.cli("DEL", RECORD_PREFIX + session.id)  # as a version without the history left it
    valkey.cli("DEL", RECORDS_PREFIX + SUBJECT)
    await store.sessions.rotate(rotation_of(6))  # a replay
    assert valkey.cli("EXISTS", RECORD_PREFIX + session.id) == 0
    if change == "refresh":
        await store.sessions.rotate(rotation_of(7, at=NOW + HOUR))
    else:
        await store.sessions.end(session.id, SUBJECT, End(EndReason.LOGGED_OUT, NOW + HOUR))
    ((record,), _) = await store.history.of_user(SUBJECT)
    assert (record.id, record.device_type, record.created_at) == (session.id, "ios", epoch(NOW))
    assert record.refreshes == (8 if change == "refresh" else 7)
    await store.sessions.erase(SUBJECT, NOW + HOUR)
    assert await store.history.of_session(session.id) == ([], [])
