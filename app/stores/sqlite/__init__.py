"""The embedded store: sessions, claims and bans in one SQLite file of one process.

Every command is one transaction, so a decision and its write cannot be parted: generations are
compared and set under the same lock, never by time.
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from app.sessions.models import Ban, Ending, Session
from app.sessions.ports import (
    Active,
    Banned,
    Claim,
    Claimed,
    ClaimHeld,
    Ended,
    KeyTaken,
    Opened,
    Redeemed,
    Replayed,
    Reused,
    Rotated,
    Rotation,
    SessionLimits,
    Unknown,
)
from app.stores.sqlite import bans, claims, sessions
from app.stores.sqlite.engine import SqliteEngine
from app.stores.sqlite.instants import epoch
from app.stores.sqlite.schema import MIGRATIONS

TOMBSTONE_TTL = timedelta(days=7)
_PURGE_CHUNK = 1000


class SqliteStore:
    """`SessionStore` on SQLite; what each command promises stands there."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at this path.

        Raises:
            StartupError: one line that says why it cannot be used.
        """
        self._engine = SqliteEngine(path, MIGRATIONS)

    def close(self) -> None:
        """Finish what waits and let go of the file."""
        self._engine.close()

    async def claim(self, claim: Claim) -> Claimed | ClaimHeld | Redeemed | KeyTaken:
        """See SessionStore."""
        return await self._engine.run(lambda db: claims.take(db, claim))

    async def release(self, claim: Claim) -> None:
        """See SessionStore."""
        await self._engine.run(lambda db: claims.release(db, claim))

    async def open(
        self, claim: Claim, session: Session, limits: SessionLimits
    ) -> Opened | Redeemed | Banned:
        """See SessionStore."""
        return await self._engine.run(lambda db: claims.open_session(db, claim, session, limits))

    async def see(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        """See SessionStore."""
        return await self._engine.run(lambda db: sessions.see(db, session_id, generation, now))

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        """See SessionStore."""
        return await self._engine.run(lambda db: sessions.rotate(db, rotation))

    async def sessions_of(self, subject: str, now: datetime) -> Sequence[Session]:
        """See SessionStore."""
        return await self._engine.run(lambda db: sessions.living_of(db, subject, now))

    async def end(
        self, session_id: str, subject: str, reason: Ending, now: datetime
    ) -> Ended | Unknown:
        """See SessionStore."""
        return await self._engine.run(lambda db: sessions.end(db, session_id, subject, reason, now))

    async def end_all(
        self, subject: str, reason: Ending, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        """See SessionStore."""
        return await self._engine.run(
            lambda db: sessions.end_all(db, subject, reason, now, keep=keep)
        )

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        """See SessionStore."""

        def command(db: sqlite3.Connection) -> Sequence[str]:
            bans.forget_if_over(db, subject, now)
            return sessions.erase(db, subject, now)

        return await self._engine.run(command, scrub=True)

    async def ban(self, ban: Ban) -> Sequence[str]:
        """See SessionStore."""
        return await self._engine.run(lambda db: bans.put(db, ban))

    async def lift_ban(self, subject: str) -> None:
        """See SessionStore."""
        await self._engine.run(lambda db: bans.lift(db, subject))

    async def find_ban(self, subject: str, now: datetime) -> Ban | None:
        """See SessionStore."""
        return await self._engine.run(lambda db: bans.find(db, subject, now))

    async def purge(self, now: datetime) -> int:
        """See SessionStore. Works in chunks, so that nobody waits long behind it."""
        purged = 0
        for sql, end in (
            (_purge_sql("sessions", "expires_at"), now - TOMBSTONE_TTL),
            (_purge_sql("claims", "expires_at"), now),
            (_purge_sql("bans", "until"), now),
        ):
            chunk = _PURGE_CHUNK
            while chunk == _PURGE_CHUNK:
                chunk = await self._engine.run(_deletion(sql, (epoch(end), _PURGE_CHUNK)))
                purged += chunk
        return purged

    async def check_writable(self) -> None:
        """See SessionStore. Writes the schema version it already has: a real write, no change."""
        sql = f"PRAGMA user_version = {len(MIGRATIONS)}"
        await self._engine.run(lambda db: db.execute(sql))


def _purge_sql(table: str, column: str) -> str:
    chosen = f"SELECT rowid FROM {table} WHERE {column} <= ? LIMIT ?"  # noqa: S608  # constants
    return f"DELETE FROM {table} WHERE rowid IN ({chosen})"  # noqa: S608  # constants


def _deletion(sql: str, values: tuple[int, int]) -> Callable[[sqlite3.Connection], int]:
    return lambda db: db.execute(sql, values).rowcount
