"""The SQLite store beyond the contract: what its file contains, and how long commands wait.

The contract itself is in the folder beside this file, for every store alike.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.sessions.history import HistoryService
from app.sessions.models import EndReason, epoch
from app.sessions.outcomes import Acquired, Active, Bearer, Ended
from app.sessions.ports import Stores
from app.store_url import SqliteUrl
from app.stores import open_store
from app.stores.sqlite import SqliteMaintenance, open_sqlite_store
from app.stores.sqlite.engine import SqliteEngine
from app.stores.sqlite.history import find_revocations
from app.stores.sqlite.schema import MIGRATIONS
from tests.stores.builders import DAY, HOUR, IDLE, NOW, ONE, SECOND, SUBJECT, ban_of, lease_of
from tests.stores.engine_table import StalledDisk
from tests.stores.full_disk import no_room_to_grow
from tests.stores.steps import (
    ENDS,
    Act,
    acquire,
    active_ids,
    add,
    check,
    check_writable,
    create,
    end,
    erase,
    fails,
    find,
    lift,
    list_bans,
    play,
    purge,
    put,
    run,
    touch,
)
from tests.support.fakes import RecordedEvents

REUSED = EndReason.REFRESH_REUSED
FORGOTTEN = NOW + IDLE + 7 * DAY
SECRET = b"encrypted, but a profile all the same"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path: Path) -> Iterator[Stores]:
    with open_sqlite_store(path) as opened:
        yield opened


def engine_of(store: Stores) -> SqliteEngine:
    assert isinstance(store.maintenance, SqliteMaintenance)
    return store.maintenance._engine


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


async def test_a_failed_command_is_an_event_with_the_name_of_the_error(path: Path) -> None:
    events = RecordedEvents()
    async with open_store(SqliteUrl(path), events) as stores:
        with no_room_to_grow(path), pytest.raises(StoreUnavailable):
            await run(stores, add())
        with closing(sqlite3.connect(path)) as database:
            database.execute("DROP TABLE sessions")
        with pytest.raises(StoreUnavailable):
            await run(stores, touch(0))
    failed = [fields["kind"] for event, _, fields in events.entries if event == "store_failed"]
    assert failed == ["SQLITE_IOERR_WRITE", "SQLITE_ERROR"]


async def test_a_store_that_is_created_is_an_event_once(tmp_path: Path) -> None:
    events, url = RecordedEvents(), SqliteUrl(tmp_path / "new" / "sessions.db")
    for _ in range(2):
        async with open_store(url, events):
            pass
    assert events.names == ["store_created"]


async def test_check_writable_notices_a_full_disk(store: Stores, path: Path) -> None:
    with no_room_to_grow(path), pytest.raises(StoreUnavailable):
        await run(store, check_writable())
    await run(store, check_writable())


READS: dict[str, Act] = {
    "touch": touch(0),
    "check": check(0),
    "list": active_ids(),
    "ban": find(subject="banned"),
    "bans": list_bans(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_read_does_not_wait_for_a_write_and_sees_all_that_were_acknowledged(
    store: Stores, read: Act
) -> None:
    await run(store, add(), put(ban_of("banned")))
    before = await read(store)  # the first touch also writes that the session is in use
    async with StalledDisk(engine_of(store)):
        writing = asyncio.create_task(fails(put(ban_of("another"))(store)))
        await asyncio.sleep(0.1)
        assert await asyncio.wait_for(read(store), timeout=0.5) == before
        assert before
    await writing


async def test_only_the_first_use_of_a_generation_is_written(store: Stores) -> None:
    await run(store, add(generation=1))
    statements: list[str] = []
    await engine_of(store).run(lambda db: db.set_trace_callback(statements.append))
    statements.clear()
    for generation in (0, 1, 1, 0, 1):
        await play(store, (check(generation), Bearer), (touch(generation), Active))
    assert statements.count("COMMIT") == 1
    assert sum(statement.startswith("UPDATE") for statement in statements) == 1


async def test_a_first_use_that_queues_behind_an_ending_finds_the_ending(store: Stores) -> None:
    await run(store, add())
    _, found = await asyncio.gather(end()(store), touch(0)(store))
    assert found == Ended(EndReason.LOGGED_OUT)


async def test_a_large_purge_lets_other_commands_run_in_between(store: Stores) -> None:
    names = [f"session-{number}" for number in range(3000)]
    await asyncio.gather(*(add(name, subject=name)(store) for name in names))
    await run(store, add("alive", expires_at=NOW + 28 * DAY))
    purging = asyncio.create_task(store.maintenance.purge(FORGOTTEN))
    await asyncio.sleep(0)
    await play(store, (touch(0, FORGOTTEN, "alive"), Active))
    assert not purging.done()
    assert await purging == len(names)


@pytest.mark.parametrize(
    "act", [*ENDS.values(), erase(NOW + IDLE)], ids=[*ENDS, "erased after the expiry"]
)
async def test_an_ended_session_leaves_no_profile_on_the_disk(path: Path, act: Act) -> None:
    with open_sqlite_store(path) as store:
        await run(store, add(generation=5, encrypted_profile=SECRET), act)
        await play(store, (touch(5), Ended))
    assert SECRET not in on_disk(path)


async def test_an_erased_user_leaves_nothing_on_the_disk(path: Path) -> None:
    user = "somebody-in-particular"
    hers = {"subject": user, "device_type": "made-up-phone"}
    with open_sqlite_store(path) as store:
        await run(store, *(add(f"session-{number}", ONE, **hers) for number in range(3)))
        await run(store, end(session_id="session-2", subject=user))
        await run(store, put(ban_of(user, until=NOW + SECOND)), erase(NOW + SECOND, user))
        assert user.encode() not in on_disk(path)  # at once, not only when the file is closed
    assert user.encode() not in on_disk(path)
    assert b"made-up-phone" not in on_disk(path)


async def test_a_purge_and_the_lift_of_a_ban_leave_nothing_on_the_disk(path: Path) -> None:
    with open_sqlite_store(path) as store:
        await run(store, add(subject="somebody-in-particular", encrypted_profile=SECRET))
        await run(store, put(ban_of("somebody-banned")), lift("somebody-banned"))
        await run(store, put(ban_of("somebody-else", until=NOW + SECOND)))
        await play(store, (purge(FORGOTTEN), 2))
    assert b"somebody-" not in on_disk(path)
    assert SECRET not in on_disk(path)


async def test_a_file_of_a_version_without_the_history_tells_what_it_knows(path: Path) -> None:
    SqliteEngine(path, MIGRATIONS[:4]).close()
    with closing(sqlite3.connect(path)) as database, database:
        for session_id, reason in (("active", None), ("ended", "kicked"), ("reused", REUSED)):
            times = [int(each.timestamp()) for each in (NOW, NOW, NOW, NOW + DAY, NOW + IDLE)]
            database.execute(
                "INSERT INTO sessions (id, subject, device_type, generation, secret_kid,"
                " encrypted_profile, end_reason, authenticated_at, created_at, last_used_at,"
                " expires_at, absolute_expires_at)"
                " VALUES (?, ?, 'ios', 3, '', x'', ?, ?, ?, ?, ?, ?)",
                (session_id, SUBJECT, reason, *times),
            )
    with open_sqlite_store(path) as store:
        history = HistoryService(store.history, lambda: NOW, 7 * DAY)
        told = [
            (each["event"], each.get("reason"), each["session_id"])
            for each in await history.of_user(SUBJECT)
            if each["event"] != "opened"
        ]
    assert told == [
        ("ended", "refresh_reused", "reused"),
        ("ended", "kicked", "ended"),
        ("refresh_reused", None, "reused"),
        ("refreshed", None, "active"),
    ]


async def test_an_expired_session_keeps_its_record_and_loses_its_profile(path: Path) -> None:
    with open_sqlite_store(path, history_ttl=30 * DAY) as store:
        await run(store, add(encrypted_profile=SECRET, key_thumbprint="made-up-key"))
        await play(store, (purge(FORGOTTEN), 0))
        ((record,), notes) = await store.history.find(session_id="session-a")
        assert (record.end_reason, record.expires_at) == ("expired", epoch(NOW + IDLE))
        assert notes == ()
    assert SECRET not in on_disk(path)
    assert b"made-up-key" not in on_disk(path)
    with open_sqlite_store(path, history_ttl=30 * DAY) as store:
        await play(store, (purge(NOW + IDLE + 30 * DAY), 1))
        assert await store.history.find(session_id="session-a") == ([], ())
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM notes").fetchall() == []


async def test_a_purge_keeps_an_event_as_long_as_an_access_token(path: Path) -> None:
    with open_sqlite_store(path, feed_ttl=10 * SECOND) as store:
        await run(store, add(), end(), add("session-b"))
        await run(store, end(at=NOW + SECOND, session_id="session-b"), purge(NOW + 10 * SECOND))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT session_id FROM events").fetchall() == [("session-b",)]


async def test_a_cursor_is_unknown_to_a_file_that_was_restored_from_a_backup(
    path: Path, tmp_path: Path
) -> None:
    with open_sqlite_store(path) as store:
        await run(store, add("lost"), add())
    shutil.copy(path, tmp_path / "backup")
    with open_sqlite_store(path) as store:
        await run(store, end(session_id="lost"))
        cursor = (await store.sessions.revocations("", NOW, HOUR)).cursor
    shutil.copy(tmp_path / "backup", path)
    with open_sqlite_store(path) as store:
        await run(store, end())
        ((_, found),) = (await store.sessions.revocations(cursor, NOW, HOUR)).revocations
    assert found["sid"] == "session-a"


async def test_an_end_between_the_queries_of_a_page_is_in_the_next_page_only(
    store: Stores, path: Path
) -> None:
    await run(store, add(), add("session-b"), end())

    def read(sql: str, values: Sequence[Any]) -> Sequence[sqlite3.Row]:
        rows = engine_of(store).read(sql, values)
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE sessions SET end_reason = 'kicked' WHERE id = 'session-b'")
            other.execute("INSERT OR IGNORE INTO events VALUES (2, 'session-b', 0)")
        return rows

    seen, cursor = list[str](), ""
    for _ in range(2):
        page = find_revocations(read, cursor, NOW, HOUR)
        cursor = page.cursor
        seen += [revocation["sid"] for _, revocation in page.revocations]
    assert seen == ["session-a", "session-b"]


async def test_a_session_never_overwrites_another_with_the_same_id(store: Stores) -> None:
    await run(store, add(), end())
    with pytest.raises(StoreUnavailable):
        await run(store, create(lease_of("another-ticket")))
    await play(store, (acquire(lease_of("another-ticket")), Acquired()))
    await play(store, (touch(0), Ended(EndReason.LOGGED_OUT)))
