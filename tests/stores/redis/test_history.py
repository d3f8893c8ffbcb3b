"""The records of the history: bounded, and complete for sessions that are older than they."""

import pytest

from app.sessions.models import epoch
from app.sessions.ports import Stores
from app.stores.redis.codec import RECORD_PREFIX, RECORDS_PREFIX
from tests.stores.builders import HOUR, NOW, SUBJECT, ban_of, lease_of
from tests.stores.steps import Act, add, create, end, erase, put, rotate, run
from tests.support.valkey.servers import Server


async def test_the_thousand_newest_sessions_of_a_user_have_records(
    store: Stores, valkey: Server
) -> None:
    await run(store, *(add(f"session-{number}") for number in range(1003)))
    sessions, _ = await store.history.find(subject=SUBJECT)
    assert len(sessions) == 1000
    assert len(valkey.cli("KEYS", RECORD_PREFIX + "*")) == 1000
    await run(store, *(put(ban_of(at=NOW + number * HOUR)) for number in range(150)))
    assert len((await store.history.find(subject=SUBJECT))[1]) == 100


@pytest.mark.parametrize(
    ("change", "refreshes"),
    [(rotate(7, NOW + HOUR), 8), (end(at=NOW + HOUR), 7)],
    ids=["refresh", "end"],
)
async def test_a_session_without_a_record_gets_one_at_its_next_change(
    store: Stores, valkey: Server, change: Act, refreshes: int
) -> None:
    await run(store, create(lease_of(key="key"), device_type="ios", generation=7))
    record_key = RECORD_PREFIX + "session-a"
    valkey.cli("DEL", record_key)  # as a version without the history left it
    valkey.cli("DEL", RECORDS_PREFIX + SUBJECT)
    await run(store, rotate(6))  # a replay
    assert valkey.cli("EXISTS", record_key) == 0
    await run(store, change)
    ((record,), _) = await store.history.find(subject=SUBJECT)
    assert (record.id, record.device_type, record.created_at) == ("session-a", "ios", epoch(NOW))
    assert record.refreshes == refreshes
    await run(store, erase(NOW + HOUR))
    assert await store.history.find(session_id="session-a") == ([], [])
