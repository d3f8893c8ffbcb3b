"""The embedded store: tickets, sessions and bans in one SQLite file of one process.

Every command is one transaction, so a decision and its write cannot be separated: generations are
compared and set under the same lock, never by time.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection

from typing_extensions import override

from app.events import Events
from app.sessions.models import epoch, instant
from app.sessions.ports import TOMBSTONE_TTL, Maintenance, Stores
from app.stores.sqlite.bans import SqliteBans
from app.stores.sqlite.engine import SqliteEngine, SqlitePort, command
from app.stores.sqlite.schema import MIGRATIONS
from app.stores.sqlite.sessions import SqliteSessions
from app.stores.sqlite.tickets import SqliteTickets

_CHUNK = 200
"""Rows that one command deletes: a millisecond of the event loop."""
_EXPIRY_COLUMNS = {
    "sessions": "expires_at",
    "tickets": "expires_at",
    "bans": "until",
    "events": "created_at",
    "looks": "next_at",
}


@contextmanager
def open_sqlite_store(
    path: Path, events: Events | None = None, events_ttl: timedelta = TOMBSTONE_TTL
) -> Iterator[Stores]:
    """Open or create the file, or raise StartupError. At the end, finish queued commands.

    A file that is created and each failed command are events.
    """
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
            SqliteMaintenance(engine, events_ttl),
        )


class SqliteMaintenance(SqlitePort, Maintenance):
    """Purges in chunks, so that no other command waits long."""

    def __init__(self, engine: SqliteEngine, events_ttl: timedelta) -> None:
        super().__init__(engine)
        self._kept_for = {"sessions": TOMBSTONE_TTL, "events": events_ttl}

    @override
    async def purge(self, now: datetime) -> int:
        purged = 0
        for table in _EXPIRY_COLUMNS:
            end = now - self._kept_for.get(table, timedelta(0))
            deleted = _CHUNK
            while deleted == _CHUNK:
                deleted = await self._purge_chunk(table, epoch(end))
                purged += 0 if table == "events" else deleted
        return purged

    @override
    @command
    def newest_login(self, db: Connection) -> datetime | None:
        row = db.execute("SELECT created_at FROM sessions ORDER BY rowid DESC LIMIT 1").fetchone()
        return None if row is None else instant(row["created_at"])

    @override
    async def check_writable(self) -> None:
        # Writes the schema version that the file already has: a real write, no change.
        sql = f"PRAGMA user_version = {len(MIGRATIONS)}"
        await self._engine.run(lambda db: db.execute(sql))

    async def _purge_chunk(self, table: str, end: int) -> int:
        column = _EXPIRY_COLUMNS[table]
        expired = f"SELECT rowid FROM {table} WHERE {column} <= ? LIMIT ?"  # noqa: S608  # constants
        sql = f"DELETE FROM {table} WHERE rowid IN ({expired})"  # noqa: S608  # constants

        def delete(db: Connection) -> int:
            return db.execute(sql, (end, _CHUNK)).rowcount

        return await self._engine.run(delete)
