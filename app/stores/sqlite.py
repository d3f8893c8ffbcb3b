"""The embedded store: sessions in one SQLite file of one process.

Every command is one transaction, so a decision and its write cannot be parted: generations are
compared and set under the same lock, never by time.
"""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.sessions.models import Ending, Session
from app.sessions.ports import (
    Active,
    Ended,
    Replayed,
    Reused,
    ReuseKind,
    Rotated,
    Rotation,
    Unknown,
)
from app.stores.engine import SqliteEngine

TOMBSTONE_TTL = timedelta(days=7)
_PURGE_CHUNK = 1000
_SCHEMA_VERSION = 1
# Instants are epoch seconds. `in_use`: a token of the current generation has been seen, so the
# predecessor's recovery window is closed. `ending` is null while the session lives; `expires_at`
# is then when it will be over, and afterwards when it was.
_SCHEMA = """
CREATE TABLE sessions (
    id                  TEXT PRIMARY KEY,
    subject             TEXT NOT NULL,
    generation          INTEGER NOT NULL,
    binding_kid         TEXT NOT NULL,
    sealed_profile      BLOB NOT NULL,
    authenticated_at    INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    last_used_at        INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    in_use              INTEGER NOT NULL DEFAULT 0,
    ending              TEXT
) STRICT;
CREATE INDEX sessions_by_end ON sessions (expires_at)
"""
_COLUMNS = (
    "id, subject, generation, binding_kid, sealed_profile, authenticated_at, created_at,"
    " last_used_at, expires_at, absolute_expires_at"
)


class SqliteStore:
    """`SessionStore` on SQLite."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at this path.

        Raises:
            StartupError: one line that says why it cannot be used.
        """
        self._engine = SqliteEngine(path, _SCHEMA, _SCHEMA_VERSION)

    def close(self) -> None:
        """Finish what waits and let go of the file."""
        self._engine.close()

    async def add(self, session: Session) -> None:
        """See SessionStore."""
        values = (
            session.id,
            session.subject,
            session.generation,
            session.binding_kid,
            session.sealed_profile,
            _epoch(session.authenticated_at),
            _epoch(session.created_at),
            _epoch(session.last_used_at),
            _epoch(session.expires_at),
            _epoch(session.absolute_expires_at),
        )
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO sessions ({_COLUMNS}) VALUES ({marks})"  # noqa: S608  # constants
        await self._engine.run(lambda db: db.execute(sql, values))

    async def see(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        """See SessionStore."""

        def command(db: sqlite3.Connection) -> Active | Ended | Unknown:
            found = _find(db, session_id, now)
            if not isinstance(found, _Living):
                return found
            if generation == found.session.generation and not found.in_use:
                db.execute("UPDATE sessions SET in_use = 1 WHERE id = ?", (session_id,))
            return Active(found.session)

        return await self._engine.run(command)

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        """See SessionStore."""
        return await self._engine.run(lambda db: _rotate(db, rotation))

    async def end(self, session_id: str, reason: Ending, now: datetime) -> bool:
        """See SessionStore."""

        def command(db: sqlite3.Connection) -> bool:
            living = isinstance(_find(db, session_id, now), _Living)
            if living:
                _end(db, session_id, reason, now)
            return living

        return await self._engine.run(command)

    async def purge(self, now: datetime) -> int:
        """See SessionStore. Works in chunks, so that nobody waits long behind it."""
        sql = (
            "DELETE FROM sessions WHERE rowid IN"
            " (SELECT rowid FROM sessions WHERE expires_at <= ? LIMIT ?)"
        )
        values = (_epoch(now - TOMBSTONE_TTL), _PURGE_CHUNK)
        purged = chunk = await self._engine.run(lambda db: db.execute(sql, values).rowcount)
        while chunk == _PURGE_CHUNK:
            chunk = await self._engine.run(lambda db: db.execute(sql, values).rowcount)
            purged += chunk
        return purged

    async def check_writable(self) -> None:
        """See SessionStore. Writes the schema version it already has: a real write, no change."""
        sql = f"PRAGMA user_version = {_SCHEMA_VERSION}"
        await self._engine.run(lambda db: db.execute(sql))


class _Living:
    """A row that is neither ended nor past its time."""

    def __init__(self, row: sqlite3.Row) -> None:
        self.session = Session(
            id=row["id"],
            subject=row["subject"],
            generation=row["generation"],
            binding_kid=row["binding_kid"],
            sealed_profile=row["sealed_profile"],
            authenticated_at=_instant(row["authenticated_at"]),
            created_at=_instant(row["created_at"]),
            last_used_at=_instant(row["last_used_at"]),
            expires_at=_instant(row["expires_at"]),
            absolute_expires_at=_instant(row["absolute_expires_at"]),
        )
        self.in_use = bool(row["in_use"])


def _find(db: sqlite3.Connection, session_id: str, now: datetime) -> _Living | Ended | Unknown:
    sql = f"SELECT {_COLUMNS}, in_use, ending FROM sessions WHERE id = ?"  # noqa: S608  # constants
    row = db.execute(sql, (session_id,)).fetchone()
    if row is None:
        return Unknown()
    if row["ending"] is not None:
        return Ended(Ending(row["ending"]))
    if _instant(row["expires_at"]) <= now:
        return Ended(Ending.EXPIRED)
    return _Living(row)


def _rotate(
    db: sqlite3.Connection, rotation: Rotation
) -> Rotated | Replayed | Reused | Ended | Unknown:
    found = _find(db, rotation.session_id, rotation.now)
    if not isinstance(found, _Living):
        return found
    session = found.session
    ahead = rotation.presented - session.generation
    if ahead in (0, 1):
        return Rotated(_advance(db, session, rotation), healed=ahead == 1)
    window_ends = session.last_used_at + rotation.recovery_window
    if ahead == -1 and not found.in_use and rotation.now < window_ends:
        return Replayed(session)
    _end(db, session.id, Ending.REFRESH_REUSED, rotation.now)
    return Reused(_kind_of_reuse(ahead))


def _kind_of_reuse(ahead: int) -> ReuseKind:
    if ahead > 0:
        return "ahead"
    return "recent_previous" if ahead == -1 else "stale"


def _advance(db: sqlite3.Connection, session: Session, rotation: Rotation) -> Session:
    advanced = replace(
        session,
        generation=rotation.presented + 1,
        binding_kid=rotation.binding_kid,
        last_used_at=rotation.now,
        expires_at=min(rotation.now + rotation.idle_ttl, session.absolute_expires_at),
    )
    db.execute(
        "UPDATE sessions SET generation = ?, binding_kid = ?, last_used_at = ?, expires_at = ?,"
        " in_use = 0 WHERE id = ?",
        (
            advanced.generation,
            advanced.binding_kid,
            _epoch(advanced.last_used_at),
            _epoch(advanced.expires_at),
            session.id,
        ),
    )
    return advanced


def _end(db: sqlite3.Connection, session_id: str, reason: Ending, now: datetime) -> None:
    # The tombstone keeps the name of the ending; the profile goes at once.
    db.execute(
        "UPDATE sessions SET ending = ?, expires_at = ?, sealed_profile = x'' WHERE id = ?",
        (reason, _epoch(now), session_id),
    )


def _epoch(instant: datetime) -> int:
    return int(instant.timestamp())


def _instant(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)
