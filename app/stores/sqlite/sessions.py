"""Sessions and their tombstones.

The public functions below the class run inside transactions of other commands: logins and bans
change sessions too.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from sqlite3 import Connection, Row

from typing_extensions import override

from app.sessions.models import EndReason, RevocationPage, Session, epoch, instant
from app.sessions.outcomes import (
    Active,
    Ended,
    ProofRefused,
    Replayed,
    Reused,
    ReuseKind,
    Rotated,
    Unknown,
)
from app.sessions.ports import MAX_SESSIONS, Rotation, SessionLimits, SessionStore
from app.sessions.proofs import fault_of, note_proof
from app.stores.sqlite.engine import SqlitePort, command, query
from app.stores.sqlite.events import add_event, find_revocations
from app.stores.sqlite.history import add_note

_NAMES = tuple(field.name for field in fields(Session))
_INSTANTS = tuple(place for place, field in enumerate(fields(Session)) if field.type is datetime)
_COLUMNS = ", ".join(_NAMES)
_values_of = attrgetter(*_NAMES)
_STATE = "in_use, rotation_key_hash, end_reason, replaced_by"
_FIND = f"SELECT {_COLUMNS}, {_STATE} FROM sessions WHERE id = ?"  # noqa: S608  # constants
_INSERT = f"INSERT INTO sessions ({_COLUMNS}, app_version) VALUES (?{', ?' * len(_NAMES)})"  # noqa: S608  # constants
_ACTIVE = "FROM sessions WHERE subject = ? AND end_reason IS NULL AND expires_at > ?"
# Within one second, in the order of writing.
_OLDEST_FIRST = "ORDER BY created_at, rowid"
_NEWEST = f"SELECT {_COLUMNS} {_ACTIVE} ORDER BY created_at DESC, rowid DESC LIMIT {MAX_SESSIONS}"


class SqliteSessions(SqlitePort, SessionStore):
    """`SessionStore` over one SQLite file."""

    @override
    async def touch(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        row = self._engine.read(lambda db: _find(db, session_id))
        found = _state(row, now)
        if isinstance(found, Active) and found.session.generation == generation:
            return found if _in_use(row) else await self._mark_in_use(session_id, generation, now)
        return found

    @command
    def _mark_in_use(
        self, db: Connection, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        found = find_session(db, session_id, now)
        if isinstance(found, Active):
            sql = "UPDATE sessions SET in_use = 1 WHERE id = ? AND generation = ? AND NOT in_use"
            db.execute(sql, (session_id, generation))
        return found

    @override
    @command
    def rotate(
        self, db: Connection, rotation: Rotation
    ) -> Rotated | Replayed | Reused | ProofRefused | Ended | Unknown:
        row = _find(db, rotation.session_id)
        found = _state(row, rotation.now)
        if not isinstance(found, Active):
            return found
        session, now = found.session, rotation.now
        if (fault := fault_of(rotation.proof, session)) is not None:
            if fault != "nonce":  # an app that has no nonce yet gets it in this way
                add_note(db, "proof_refused", session, now, fault)
            return ProofRefused(fault)
        ahead = rotation.presented - session.generation
        if ahead in {0, 1}:
            if rotation.dry_run:
                return Rotated(session, rolled_forward=ahead == 1)
            if ahead == 1:
                add_note(db, "rolled_forward", session, now)
            return Rotated(_advance(db, session, rotation), rolled_forward=ahead == 1)
        kind = _kind_of_reuse(ahead, row, rotation)
        window_ends_at = session.last_used_at + rotation.recovery_window
        if kind == "recent_previous" and not _in_use(row) and now < window_ends_at:
            return Replayed(session) if rotation.dry_run else _replay(db, session, rotation)
        if not rotation.dry_run:
            _end(db, session.id, EndReason.REFRESH_REUSED, now, kind)
        return Reused(kind)

    @override
    @query
    def active_sessions(self, db: Connection, subject: str, now: datetime) -> Sequence[Session]:
        newest_first = db.execute(_NEWEST, (subject, epoch(now))).fetchall()
        return [_session(row) for row in reversed(newest_first)]

    @override
    @command
    def end(
        self,
        db: Connection,
        session_id: str,
        subject: str | None,
        reason: EndReason,
        now: datetime,
        *,
        by: str = "",
    ) -> Ended | Unknown:
        row = _find(db, session_id)
        if row is None or subject not in (None, row["subject"]):
            return Unknown()
        if row["end_reason"] is not None:
            return _tombstone(row)
        _end(db, session_id, reason, now, by)
        return Ended(reason, changed=True)

    @override
    @command
    def end_all(
        self,
        db: Connection,
        subject: str,
        reason: EndReason,
        now: datetime,
        *,
        keep: str | None = None,
        by: str = "",
    ) -> Sequence[str]:
        return end_all_sessions(db, subject, reason, now, keep=keep, by=by)

    @override
    @command
    def schedule_look(
        self, db: Connection, subject: str, now: datetime, pause: timedelta, *, force: bool = False
    ) -> bool:
        sql = (
            "INSERT INTO looks (subject, next_at) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET next_at = excluded.next_at WHERE next_at <= ? OR ?"
        )
        return db.execute(sql, (subject, epoch(now + pause), epoch(now), force)).rowcount == 1

    @override
    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        return await self._engine.run(lambda db: _erase(db, subject, now), scrub=True)

    @override
    @query
    def revocations(
        self, db: Connection, after: str, now: datetime, access_ttl: timedelta
    ) -> RevocationPage:
        return find_revocations(db, after, now, access_ttl)


def find_session(db: Connection, session_id: str, now: datetime) -> Active | Ended | Unknown:
    """The session as it is now."""
    return _state(_find(db, session_id), now)


def insert_session(db: Connection, session: Session, app_version: str) -> None:
    """Store a new session."""
    values = [*_values_of(session), app_version]
    for place in _INSTANTS:
        values[place] = epoch(values[place])
    db.execute(_INSERT, values)


def end_all_sessions(
    db: Connection,
    subject: str,
    reason: EndReason,
    now: datetime,
    *,
    keep: str | None = None,
    by: str = "",
) -> Sequence[str]:
    """End the user's sessions except `keep`; return the ids of those that had not ended.

    For another clock, a session that has expired here may still be active. So it ends too.
    """
    sql = (
        "SELECT id FROM sessions WHERE subject = ? AND id IS NOT ? AND end_reason IS NULL"
        " ORDER BY created_at, rowid"
    )
    ids = [row["id"] for row in db.execute(sql, (subject, keep)).fetchall()]
    for session_id in ids:
        _end(db, session_id, reason, now, by)
    return ids


def evict_over_limit(db: Connection, newcomer: Session, limits: SessionLimits) -> Sequence[str]:
    """End the sessions that the newcomer replaces; return their ids.

    At most MAX_SESSIONS of the oldest go at once. The next logins replace the rest.
    """
    user = newcomer.subject, epoch(newcomer.created_at)
    replaced, kind = list[str](), newcomer.device_type
    of_type, oldest = f"{_ACTIVE} AND device_type = ?", f"{_ACTIVE} {_OLDEST_FIRST} LIMIT ?"
    if limits.one_per_device_type and kind is not None:
        replaced = _replace(db, newcomer, "one_per_device_type", of_type, *user, kind)
    (active,) = db.execute(f"SELECT count(*) {_ACTIVE}", user).fetchone()
    surplus = min(active + 1 - limits.max_per_user, MAX_SESSIONS)
    if surplus > 0:
        replaced += _replace(db, newcomer, "max_per_user", oldest, *user, surplus)
    return replaced


def _replace(
    db: Connection, newcomer: Session, limit: str, which: str, *values: str | int
) -> list[str]:
    replaced = [row["id"] for row in db.execute(f"SELECT id {which}", values).fetchall()]
    now, device_type = newcomer.created_at, newcomer.device_type
    for session_id in replaced:
        _end(db, session_id, EndReason.REPLACED, now, limit, replaced_by=device_type)
    return replaced


def _find(db: Connection, session_id: str) -> Row | None:
    row: Row | None = db.execute(_FIND, (session_id,)).fetchone()
    return row


def _state(row: Row | None, now: datetime) -> Active | Ended | Unknown:
    if row is None:
        return Unknown()
    if row["end_reason"] is not None:
        return _tombstone(row)
    if instant(row["expires_at"]) <= now:
        return Ended(EndReason.EXPIRED)
    return Active(_session(row))


def _tombstone(row: Row) -> Ended:
    return Ended(EndReason(row["end_reason"]), row["replaced_by"])


def _in_use(row: Row | None) -> bool:
    return row is not None and bool(row["in_use"])


def _erase(db: Connection, subject: str, now: datetime) -> Sequence[str]:
    # A ban in force must outlive the erasure; one that is over is erased too.
    db.execute("DELETE FROM bans WHERE subject = ? AND until <= ?", (subject, epoch(now)))
    db.execute("DELETE FROM looks WHERE subject = ?", (subject,))
    ended = end_all_sessions(db, subject, EndReason.ERASED, now)
    db.execute("DELETE FROM notes WHERE subject = ?", (subject,))
    db.execute(
        "UPDATE sessions SET subject = '', device_type = NULL, app_version = NULL,"
        " replaced_by = NULL, end_cause = NULL WHERE subject = ?",
        (subject,),
    )
    return ended


def _end(
    db: Connection,
    session_id: str,
    reason: EndReason,
    now: datetime,
    cause: str = "",
    *,
    replaced_by: str | None = None,
) -> None:
    # The tombstone keeps the reason; the profile and the device key are deleted at once.
    db.execute(
        "UPDATE sessions SET end_reason = ?, end_cause = ?, replaced_by = ?,"
        " ended_at = min(expires_at, ?), expires_at = ?,"
        " encrypted_profile = x'', key_thumbprint = NULL, seen_proofs = NULL WHERE id = ?",
        (reason, cause, replaced_by, epoch(now), epoch(now), session_id),
    )
    if reason is not EndReason.EXPIRED:
        add_event(db, session_id, now)


def _bind(db: Connection, session: Session, rotation: Rotation) -> Session:
    """The session with this proof. The first one binds it, which is noted."""
    bound = note_proof(session, rotation.proof)
    if bound.key_thumbprint != session.key_thumbprint:
        add_note(db, "session_bound", session, rotation.now)
    return bound


def _advance(db: Connection, session: Session, rotation: Rotation) -> Session:
    session = _bind(db, session, rotation)
    advanced = replace(
        session,
        generation=rotation.presented + 1,
        secret_kid=rotation.secret_kid,
        last_used_at=rotation.now,
        expires_at=min(rotation.now + rotation.idle_ttl, session.absolute_expires_at),
    )
    times = epoch(advanced.last_used_at), epoch(advanced.expires_at)
    proofs = session.key_thumbprint, session.seen_proofs
    db.execute(
        "UPDATE sessions SET generation = ?, secret_kid = ?, last_used_at = ?, expires_at = ?,"
        " key_thumbprint = ?, seen_proofs = ?, in_use = 0, rotation_key_hash = ?, replays = 0,"
        " replayed_generations = replayed_generations * (replays > 0) WHERE id = ?",
        (advanced.generation, advanced.secret_kid, *times, *proofs, rotation.key_hash, session.id),
    )
    return advanced


def _replay(db: Connection, session: Session, rotation: Rotation) -> Replayed:
    session = _bind(db, session, rotation)
    add_note(db, "refresh_replayed", session, rotation.now)
    sql = (
        "UPDATE sessions SET key_thumbprint = ?, seen_proofs = ?, replays = replays + 1,"
        " replayed_generations = replayed_generations + (replays = 0) WHERE id = ?"
        " RETURNING replays, replayed_generations"
    )
    values = session.key_thumbprint, session.seen_proofs, session.id
    return Replayed(session, *db.execute(sql, values).fetchone())


def _kind_of_reuse(ahead: int, row: Row | None, rotation: Rotation) -> ReuseKind:
    if ahead != -1:
        return "ahead" if ahead > 0 else "stale"
    expected = row["rotation_key_hash"] if row is not None else None
    return "recent_previous" if expected == rotation.key_hash else "other_key"


def _session(row: Row) -> Session:
    # By position, because each check of a token comes here. `_COLUMNS` come first in every query.
    values = list(row)[: len(_NAMES)]
    for place in _INSTANTS:
        values[place] = instant(values[place])
    return Session(*values)
