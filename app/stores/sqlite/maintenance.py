"""Looking after the file: deleting what has expired, and finding out whether it can be written."""

import sqlite3
from datetime import datetime, timedelta

from typing_extensions import override

from app.sessions.ports import Maintenance
from app.stores.sqlite.engine import SqliteEngine
from app.stores.sqlite.instants import epoch
from app.stores.sqlite.schema import MIGRATIONS

TOMBSTONE_TTL = timedelta(days=7)
_CHUNK = 1000
_EXPIRY_COLUMNS = {"sessions": "expires_at", "tickets": "expires_at", "bans": "until"}


class SqliteMaintenance(Maintenance):
    """Purges in chunks, so that no other command waits long."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    @override
    async def purge(self, now: datetime) -> int:
        purged = 0
        for table in _EXPIRY_COLUMNS:
            end = now - TOMBSTONE_TTL if table == "sessions" else now
            deleted = _CHUNK
            while deleted == _CHUNK:
                deleted = await self._purge_chunk(table, epoch(end))
                purged += deleted
        return purged

    @override
    async def check_writable(self) -> None:
        # Writes the schema version that the file already has: a real write, no change.
        sql = f"PRAGMA user_version = {len(MIGRATIONS)}"
        await self._engine.run(lambda db: db.execute(sql))

    async def _purge_chunk(self, table: str, end: int) -> int:
        column = _EXPIRY_COLUMNS[table]
        expired = f"SELECT rowid FROM {table} WHERE {column} <= ? LIMIT ?"  # noqa: S608  # constants
        sql = f"DELETE FROM {table} WHERE rowid IN ({expired})"  # noqa: S608  # constants

        def delete(db: sqlite3.Connection) -> int:
            return db.execute(sql, (end, _CHUNK)).rowcount

        return await self._engine.run(delete)
