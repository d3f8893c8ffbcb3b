"""What happens to the rows of sessions. Functions over a connection, inside a transaction."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.sessions.models import Ending, Session
from app.sessions.ports import (
    Active,
    Ended,
    Replayed,
    Reused,
    ReuseKind,
    Rotated,
    Rotation,
    SessionLimits,
    Unknown,
)
from app.stores.sqlite.instants import epoch, instant

_COLUMNS = (
    "id, subject, device_type, generation, binding_kid, sealed_profile, authenticated_at,"
    " created_at, last_used_at, expires_at, absolute_expires_at"
)
# Oldest first; of the same second, the first that was written.
_LIVING_OF = (
    f"SELECT {_COLUMNS} FROM sessions WHERE subject = ? AND ending IS NULL"  # noqa: S608  # constants
    " AND expires_at > ? ORDER BY created_at, rowid"
)


@dataclass(frozen=True, slots=True)
class Living:
    """A session that is neither ended nor past its time.

    `in_use`: a token of its current generation has been seen.
    """

    session: Session
    in_use: bool


def add(db: sqlite3.Connection, session: Session) -> None:
    """Keep a new session."""
    values = (
        session.id,
        session.subject,
        session.device_type,
        session.generation,
        session.binding_kid,
        session.sealed_profile,
        epoch(session.authenticated_at),
        epoch(session.created_at),
        epoch(session.last_used_at),
        epoch(session.expires_at),
        epoch(session.absolute_expires_at),
    )
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO sessions ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608  # constants


def find(db: sqlite3.Connection, session_id: str, now: datetime) -> Living | Ended | Unknown:
    """The session as it is now."""
    sql = f"SELECT {_COLUMNS}, in_use, ending, replaced_by FROM sessions WHERE id = ?"  # noqa: S608  # constants
    row = db.execute(sql, (session_id,)).fetchone()
    if row is None:
        return Unknown()
    if row["ending"] is not None:
        return Ended(Ending(row["ending"]), row["replaced_by"])
    if instant(row["expires_at"]) <= now:
        return Ended(Ending.EXPIRED)
    return Living(_session(row), bool(row["in_use"]))


def see(
    db: sqlite3.Connection, session_id: str, generation: int, now: datetime
) -> Active | Ended | Unknown:
    """Look up for a bearer; note the first use of the current generation."""
    found = find(db, session_id, now)
    if not isinstance(found, Living):
        return found
    if generation == found.session.generation and not found.in_use:
        db.execute("UPDATE sessions SET in_use = 1 WHERE id = ?", (session_id,))
    return Active(found.session)


def rotate(
    db: sqlite3.Connection, rotation: Rotation
) -> Rotated | Replayed | Reused | Ended | Unknown:
    """Compare generations: rotate, replay, or end the session for a spent token."""
    found = find(db, rotation.session_id, rotation.now)
    if not isinstance(found, Living):
        return found
    session = found.session
    ahead = rotation.presented - session.generation
    if ahead in (0, 1):
        return Rotated(_advance(db, session, rotation), healed=ahead == 1)
    window_ends_at = session.last_used_at + rotation.recovery_window
    if ahead == -1 and not found.in_use and rotation.now < window_ends_at:
        return Replayed(session)
    _end(db, session.id, Ending.REFRESH_REUSED, rotation.now)
    return Reused(_kind_of_reuse(ahead))


def living_of(db: sqlite3.Connection, subject: str, now: datetime) -> Sequence[Session]:
    """The user's living sessions, oldest first."""
    return [_session(row) for row in db.execute(_LIVING_OF, (subject, epoch(now)))]


def end(
    db: sqlite3.Connection, session_id: str, subject: str, reason: Ending, now: datetime
) -> Ended | Unknown:
    """End one session of this user; of another user's it says nothing."""
    owner = db.execute("SELECT subject FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if owner is None or owner["subject"] != subject:
        return Unknown()
    found = find(db, session_id, now)
    if not isinstance(found, Living):
        return found
    _end(db, session_id, reason, now)
    return Ended(reason, just_now=True)


def end_all(
    db: sqlite3.Connection,
    subject: str,
    reason: Ending,
    now: datetime,
    *,
    keep: str | None = None,
) -> Sequence[str]:
    """End all living sessions of this user but one."""
    ids = [session.id for session in living_of(db, subject, now) if session.id != keep]
    for session_id in ids:
        _end(db, session_id, reason, now)
    return ids


def erase(db: sqlite3.Connection, subject: str, now: datetime) -> Sequence[str]:
    """End the user's sessions, and take the user out of these and of older tombstones."""
    ended = end_all(db, subject, Ending.ERASED, now)
    db.execute(
        "UPDATE sessions SET subject = '', device_type = NULL, sealed_profile = x'',"
        " ending = coalesce(ending, ?) WHERE subject = ?",
        (Ending.EXPIRED, subject),
    )
    return ended


def make_room(
    db: sqlite3.Connection, newcomer: Session, limits: SessionLimits, now: datetime
) -> Sequence[str]:
    """End what the newcomer replaces under these limits; which ones ended."""
    if not limits.max_per_user and not limits.one_per_device_type:
        return []
    living = living_of(db, newcomer.subject, now)
    same_type = [
        session
        for session in living
        if limits.one_per_device_type and session.device_type == newcomer.device_type is not None
    ]
    others = [session for session in living if session not in same_type]
    surplus = len(others) + 1 - limits.max_per_user if limits.max_per_user else 0
    replaced = [session.id for session in [*same_type, *others[: max(surplus, 0)]]]
    for session_id in replaced:
        _end(db, session_id, Ending.REPLACED, now, replaced_by=newcomer.device_type)
    return replaced


def _end(
    db: sqlite3.Connection,
    session_id: str,
    reason: Ending,
    now: datetime,
    *,
    replaced_by: str | None = None,
) -> None:
    # The tombstone keeps the name of the ending; the profile goes at once.
    db.execute(
        "UPDATE sessions SET ending = ?, replaced_by = ?, expires_at = ?, sealed_profile = x''"
        " WHERE id = ?",
        (reason, replaced_by, epoch(now), session_id),
    )


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
            epoch(advanced.last_used_at),
            epoch(advanced.expires_at),
            session.id,
        ),
    )
    return advanced


def _kind_of_reuse(ahead: int) -> ReuseKind:
    if ahead > 0:
        return "ahead"
    return "recent_previous" if ahead == -1 else "stale"


def _session(row: sqlite3.Row) -> Session:
    return Session(
        id=row["id"],
        subject=row["subject"],
        device_type=row["device_type"],
        generation=row["generation"],
        binding_kid=row["binding_kid"],
        sealed_profile=row["sealed_profile"],
        authenticated_at=instant(row["authenticated_at"]),
        created_at=instant(row["created_at"]),
        last_used_at=instant(row["last_used_at"]),
        expires_at=instant(row["expires_at"]),
        absolute_expires_at=instant(row["absolute_expires_at"]),
    )
