"""The embedded store: tickets, sessions and bans in one SQLite file of one process.

Every command is one transaction, so a decision and its write cannot be separated: generations are
compared and set under the same lock, never by time.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from typing_extensions import override

from app.errors import StartupError
from app.events import Events
from app.sessions.models import epoch, instant
from app.sessions.ports import TOMBSTONE_TTL, HistoryStore, Maintenance, Stores
from app.stores.sqlite.database import open_reader
from app.stores.sqlite.engine import SqliteEngine, SqlitePort
from app.stores.sqlite.history import SqliteHistory
from app.stores.sqlite.logins import SqliteBans, SqliteTickets
from app.stores.sqlite.schema import MIGRATIONS
from app.stores.sqlite.sessions import SqliteSessions

_CHUNK = 200
"""Rows that one command deletes: a millisecond of the event loop."""
_EXPIRED = {
    "sessions": "end_reason IS NOT NULL AND expires_at",
    "tickets": "expires_at",
    "bans": "until",
    "looks": "next_at",
    "events": "created_at",
    "notes": "session_id IS NULL AND last_at",
}
"""By table, the column that tells from when on a row is kept no longer."""
_DELETE = "DELETE FROM {0} WHERE rowid IN (SELECT rowid FROM {0} WHERE {1} <= ? LIMIT ?)"
_FORGET = """
    UPDATE sessions SET end_reason = 'expired', ended_at = expires_at, encrypted_profile = x'',
        key_thumbprint = NULL, seen_proofs = NULL
    WHERE rowid IN (SELECT rowid FROM sessions WHERE end_reason IS NULL AND expires_at <= ? LIMIT ?)
"""


@contextmanager
def open_sqlite_store(
    path: Path,
    events: Events | None = None,
    feed_ttl: timedelta = TOMBSTONE_TTL,
    history_ttl: timedelta = TOMBSTONE_TTL,
) -> Iterator[Stores]:
    """Open or create the file, or raise StartupError. Its creation and failures are events."""
    is_new = not path.exists()

    def failed(kind: str) -> None:
        if events is not None:
            events.record("store_failed", kind=kind)

    with closing(SqliteEngine(path, MIGRATIONS, failed)) as engine:
        if is_new and events is not None:
            events.record("store_created")
        yield Stores(
            SqliteTickets(engine),
            SqliteSessions(engine),
            SqliteBans(engine),
            SqliteHistory(engine.read),
            SqliteMaintenance(engine, path, feed_ttl, history_ttl),
        )


@contextmanager
def open_sqlite_history(path: Path) -> Iterator[HistoryStore]:
    """Open the file to read, or raise StartupError. Another process may have it open."""
    try:
        with closing(open_reader(path)) as reader:
            yield SqliteHistory(lambda sql, values: reader.execute(sql, values).fetchall())
    except sqlite3.Error as error:
        raise StartupError(f"STORE_URL: {path} cannot be read ({error})") from error


class SqliteMaintenance(SqlitePort, Maintenance):
    """Purges in chunks, so that no other command waits long."""

    def __init__(
        self, engine: SqliteEngine, path: Path, feed_ttl: timedelta, history_ttl: timedelta
    ) -> None:
        super().__init__(engine)
        self._path = path
        records = max(history_ttl, TOMBSTONE_TTL)
        self._kept_for = {"sessions": records, "events": feed_ttl, "notes": history_ttl}

    @override
    async def purge(self, now: datetime) -> int:
        await self._in_chunks(_FORGET, now - TOMBSTONE_TTL)
        purged = dict[str, int]()
        for table, expired in _EXPIRED.items():
            sql, end = _DELETE.format(table, expired), now - self._kept_for.get(table, timedelta(0))
            purged[table] = await self._in_chunks(sql, end)
        return sum(purged.values()) - purged["events"] - purged["notes"]

    @override
    async def newest_login(self) -> datetime | None:
        newest = "SELECT created_at FROM sessions ORDER BY rowid DESC LIMIT 1"
        rows = self._engine.read(newest, ())
        return instant(rows[0]["created_at"]) if rows else None

    @override
    async def count_sessions(self, now: datetime) -> int | None:
        # With a million sessions it takes 20 ms: too long for the event loop and its connection.
        return await asyncio.to_thread(self._count, epoch(now))

    def _count(self, now: int) -> int | None:
        sql = "SELECT count(*) FROM sessions WHERE expires_at > ?"
        with suppress(sqlite3.Error), closing(open_reader(self._path)) as reader:
            return int(reader.execute(sql, (now,)).fetchone()[0])
        return None

    @override
    async def check_writable(self) -> None:
        # Writes the schema version that the file already has: a real write, no change.
        sql = f"PRAGMA user_version = {len(MIGRATIONS)}"
        await self._engine.run(lambda db: db.execute(sql))

    async def _in_chunks(self, sql: str, end: datetime) -> int:
        values = epoch(end), _CHUNK
        changed, count = 0, _CHUNK
        while count == _CHUNK:
            count = await self._engine.run(lambda db: db.execute(sql, values).rowcount)
            changed += count
        return changed
