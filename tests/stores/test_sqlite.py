"""The SQLite store beyond the contract: what its file contains, and how long commands wait.

The contract itself is in the folder beside this file, for every store alike.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.sessions.history import HistoryService
from app.sessions.models import End, EndReason, epoch
from app.sessions.outcomes import Acquired, Active, Bearer, Ended
from app.sessions.ports import Stores
from app.store_url import SqliteUrl
from app.stores import open_store
from app.stores.sqlite import SqliteMaintenance, open_sqlite_store
from app.stores.sqlite.engine import SqliteEngine
from app.stores.sqlite.history import find_revocations
from app.stores.sqlite.schema import MIGRATIONS
from tests.stores.builders import (
    DAY,
    HOUR,
    IDLE,
    NOW,
    ONE,
    SECOND,
    SUBJECT,
    UNLIMITED,
    ban_of,
    keep,
    lease_of,
    make_session,
)
from tests.stores.engine_table import StalledDisk
from tests.stores.full_disk import no_room_to_grow
from tests.stores.steps import Act, end, end_all, erase, rotate
from tests.support.fakes import RecordedEvents

REUSED = EndReason.REFRESH_REUSED
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
            await keep(stores, make_session())
        with closing(sqlite3.connect(path)) as database:
            database.execute("DROP TABLE sessions")
        with pytest.raises(StoreUnavailable):
            await stores.sessions.touch("session-a", 0, make_session().created_at)
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
        await store.maintenance.check_writable()
    await store.maintenance.check_writable()


READS: dict[str, Callable[[Stores], Awaitable[object]]] = {
    "touch": lambda store: store.sessions.touch("session-a", 0, NOW),
    "check": lambda store: store.sessions.check("session-a", 0, NOW),
    "list": lambda store: store.sessions.active_sessions(SUBJECT, NOW),
    "ban": lambda store: store.bans.find("banned", NOW),
    "bans": lambda store: store.bans.list_bans(NOW),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_read_does_not_wait_for_a_write_and_sees_all_that_were_acknowledged(
    store: Stores, read: Callable[[Stores], Awaitable[object]]
) -> None:
    await keep(store, make_session())
    await store.bans.put(ban_of("banned"))
    before = await read(store)  # the first touch also writes that the session is in use
    async with StalledDisk(engine_of(store)):
        writing = asyncio.create_task(store.bans.put(ban_of("another")))
        await asyncio.sleep(0.1)
        assert await asyncio.wait_for(read(store), timeout=0.5) == before
        assert before
    with suppress(StoreUnavailable):
        await writing


async def test_only_the_first_use_of_a_generation_is_written(store: Stores) -> None:
    await keep(store, make_session(generation=1))
    statements: list[str] = []
    await engine_of(store).run(lambda db: db.set_trace_callback(statements.append))
    statements.clear()
    for generation in (0, 1, 1, 0, 1):
        assert isinstance(await store.sessions.check("session-a", generation, NOW), Bearer)
        assert isinstance(await store.sessions.touch("session-a", generation, NOW), Active)
    assert statements.count("COMMIT") == 1
    assert sum(statement.startswith("UPDATE") for statement in statements) == 1


async def test_a_first_use_that_queues_behind_an_ending_finds_the_ending(store: Stores) -> None:
    await keep(store, make_session())
    _, found = await asyncio.gather(
        store.sessions.end("session-a", SUBJECT, End(EndReason.LOGGED_OUT, NOW)),
        store.sessions.touch("session-a", 0, NOW),
    )
    assert found == Ended(EndReason.LOGGED_OUT)


async def test_a_large_purge_lets_other_commands_run_in_between(store: Stores) -> None:
    names = [f"session-{number}" for number in range(3000)]
    await asyncio.gather(*(keep(store, make_session(name, subject=name)) for name in names))
    await keep(store, make_session("alive", expires_at=NOW + 28 * DAY))
    due = NOW + IDLE + 7 * DAY
    purging = asyncio.create_task(store.maintenance.purge(due))
    await asyncio.sleep(0)
    assert isinstance(await store.sessions.touch("alive", 0, due), Active)
    assert not purging.done()
    assert await purging == len(names)


ENDS: dict[str, Act] = {
    "log out": end(),
    "reuse": rotate(0),
    "replace": lambda store: keep(store, make_session("session-b"), ONE),
    "kick": end_all(EndReason.KICKED),
    "ban": lambda store: store.bans.put(ban_of()),
    "erase": erase(),
    "erase after the expiry": erase(NOW + IDLE),
}


@pytest.mark.parametrize("act", ENDS.values(), ids=ENDS)
async def test_an_ended_session_leaves_no_profile_on_the_disk(path: Path, act: Act) -> None:
    with open_sqlite_store(path) as store:
        await keep(store, make_session(generation=5, encrypted_profile=SECRET))
        await act(store)
        assert isinstance(await store.sessions.touch("session-a", 5, NOW), Ended)
    assert SECRET not in on_disk(path)


async def test_an_erased_user_leaves_nothing_on_the_disk(path: Path) -> None:
    user = "somebody-in-particular"
    with open_sqlite_store(path) as store:
        for number in range(3):
            session = make_session(f"session-{number}", subject=user, device_type="made-up-phone")
            await keep(store, session, ONE)
        await store.sessions.end("session-2", user, End(EndReason.LOGGED_OUT, NOW))
        await store.bans.put(ban_of(user, until=NOW + SECOND))
        await store.sessions.erase(user, NOW + SECOND)
        assert user.encode() not in on_disk(path)  # at once, not only when the file is closed
    assert user.encode() not in on_disk(path)
    assert b"made-up-phone" not in on_disk(path)


async def test_a_purge_and_the_lift_of_a_ban_leave_nothing_on_the_disk(path: Path) -> None:
    with open_sqlite_store(path) as store:
        await keep(store, make_session(subject="somebody-in-particular", encrypted_profile=SECRET))
        await store.bans.put(ban_of("somebody-banned"))
        await store.bans.put(ban_of("somebody-else", until=NOW + SECOND))
        await store.bans.lift("somebody-banned", NOW)
        assert await store.maintenance.purge(NOW + IDLE + 7 * DAY) == 2
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
    forgotten = NOW + IDLE + 7 * DAY
    with open_sqlite_store(path, history_ttl=30 * DAY) as store:
        await keep(store, make_session(encrypted_profile=SECRET, key_thumbprint="made-up-key"))
        assert await store.maintenance.purge(forgotten) == 0
        ((record,), notes) = await store.history.of_session("session-a")
        assert (record.end_reason, record.expires_at) == ("expired", epoch(NOW + IDLE))
        assert notes == ()
    assert SECRET not in on_disk(path)
    assert b"made-up-key" not in on_disk(path)
    with open_sqlite_store(path, history_ttl=30 * DAY) as store:
        assert await store.maintenance.purge(NOW + IDLE + 30 * DAY) == 1
        assert await store.history.of_session("session-a") == ([], ())
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM notes").fetchall() == []


async def test_a_purge_keeps_an_event_as_long_as_an_access_token(path: Path) -> None:
    with open_sqlite_store(path, feed_ttl=10 * SECOND) as store:
        for session_id, at in (("session-a", NOW), ("session-b", NOW + SECOND)):
            await keep(store, make_session(session_id))
            await store.sessions.end(session_id, SUBJECT, End(EndReason.LOGGED_OUT, at))
        await store.maintenance.purge(NOW + 10 * SECOND)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT session_id FROM events").fetchall() == [("session-b",)]


async def test_a_cursor_is_unknown_to_a_file_that_was_restored_from_a_backup(
    path: Path, tmp_path: Path
) -> None:
    with open_sqlite_store(path) as store:
        await keep(store, make_session("lost"))
        await keep(store, make_session())
    shutil.copy(path, tmp_path / "backup")
    with open_sqlite_store(path) as store:
        await store.sessions.end("lost", SUBJECT, End(EndReason.LOGGED_OUT, NOW))
        cursor = (await store.sessions.revocations("", NOW, HOUR)).cursor
    shutil.copy(tmp_path / "backup", path)
    with open_sqlite_store(path) as store:
        await store.sessions.end("session-a", SUBJECT, End(EndReason.LOGGED_OUT, NOW))
        ((_, found),) = (await store.sessions.revocations(cursor, NOW, HOUR)).revocations
    assert found["sid"] == "session-a"


async def test_an_end_between_the_queries_of_a_page_is_in_the_next_page_only(
    store: Stores, path: Path
) -> None:
    for name in ("session-a", "session-b"):
        await keep(store, make_session(name))
    await end()(store)

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
    await keep(store, make_session())
    await store.sessions.end("session-a", SUBJECT, End(EndReason.LOGGED_OUT, NOW))
    with pytest.raises(StoreUnavailable):
        await store.tickets.create_session(lease_of("another-ticket"), make_session(), UNLIMITED)
    assert await store.tickets.acquire(lease_of("another-ticket")) == Acquired()
    assert await store.sessions.touch("session-a", 0, NOW) == Ended(EndReason.LOGGED_OUT)
