"""Sessions and their tombstones."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from sqlite3 import Connection

from typing_extensions import override

from app.sessions import outcomes
from app.sessions.models import End, EndReason, RevocationPage, Session, epoch
from app.sessions.ports import Rotation, SessionStore
from app.sessions.proofs import fault_of, note_proof
from app.stores.sqlite import codec
from app.stores.sqlite.engine import SqlitePort, command
from app.stores.sqlite.history import add_note, find_revocations

_BEARER = (
    "SELECT subject, device_type FROM sessions WHERE id = ? AND end_reason IS NULL"
    " AND expires_at > ? AND (in_use OR generation <> ?)"
)
_NOT_ENDED = (
    "SELECT id FROM sessions WHERE end_reason IS NULL AND {} ORDER BY created_at, rowid LIMIT ?"
)
_TOMBSTONE = "SELECT end_reason, replaced_by FROM sessions WHERE {}"
# The tombstone keeps the reason; the profile and the device key are deleted at once.
_END = (
    "UPDATE sessions SET end_reason = ?, end_cause = ?, replaced_by = ?,"
    " ended_at = min(expires_at, ?), expires_at = ?,"
    " encrypted_profile = x'', key_thumbprint = NULL, seen_proofs = NULL WHERE id = ?"
)


class SqliteSessions(SqlitePort, SessionStore):
    """`SessionStore` over one SQLite file."""

    @override
    async def check(
        self, session_id: str, generation: int, now: datetime
    ) -> outcomes.Bearer | outcomes.Ended | outcomes.Unknown:
        # The most frequent command. So it reads two columns, if there is nothing to write or tell.
        rows = self._engine.read(_BEARER, (session_id, epoch(now), generation))
        if rows:
            return outcomes.Bearer(*rows[0])
        return await super().check(session_id, generation, now)

    @override
    async def touch(self, session_id: str, generation: int, now: datetime) -> outcomes.Lookup:
        rows = self._engine.read(codec.FIND, (session_id,))
        found = codec.decode_found(rows, now)
        if not isinstance(found, outcomes.Active) or rows[0]["in_use"]:
            return found
        current = found.session.generation == generation
        return await self._mark_in_use(session_id, generation, now) if current else found

    @command
    def _mark_in_use(
        self, db: Connection, session_id: str, generation: int, now: datetime
    ) -> outcomes.Lookup:
        found = codec.find_session(db, session_id, now)
        if isinstance(found, outcomes.Active):
            sql = "UPDATE sessions SET in_use = 1 WHERE id = ? AND generation = ? AND NOT in_use"
            db.execute(sql, (session_id, generation))
        return found

    @override
    @command
    def rotate(self, db: Connection, rotation: Rotation) -> outcomes.Refresh:
        rows = db.execute(codec.FIND, (rotation.session_id,)).fetchall()
        found, now = codec.decode_found(rows, rotation.now), rotation.now
        if not isinstance(found, outcomes.Active):
            return found
        session, (row,) = found.session, rows
        if (fault := fault_of(rotation.proof, session)) is not None:
            if fault != "nonce":  # an app that has no nonce yet gets it in this way
                add_note(db, "proof_refused", now, session.subject, session.id, kind=fault)
            return outcomes.ProofRefused(fault)
        ahead = rotation.presented - session.generation
        if ahead in {0, 1}:
            if not rotation.dry_run:
                session = _advance(db, session, rotation)
            return outcomes.Rotated(session, rolled_forward=ahead == 1)
        kind = _kind_of_reuse(ahead, row["rotation_key_hash"], rotation)
        window_ends_at = session.last_used_at + rotation.recovery_window
        if kind == "recent_previous" and not row["in_use"] and now < window_ends_at:
            dry_run = rotation.dry_run
            return outcomes.Replayed(session) if dry_run else _replay(db, session, rotation)
        if not rotation.dry_run:
            end = End(EndReason.REFRESH_REUSED, now, cause=kind)
            end_sessions(db, "id = ?", (session.id,), end)
        return outcomes.Reused(kind)

    @override
    async def active_sessions(self, subject: str, now: datetime) -> Sequence[Session]:
        newest_first = self._engine.read(codec.NEWEST, (subject, epoch(now)))
        return [codec.decode_session(row) for row in reversed(newest_first)]

    @override
    @command
    def end(
        self, db: Connection, session_id: str, subject: str | None, end: End
    ) -> outcomes.Ended | outcomes.Unknown:
        which, values = "id = ? AND subject = coalesce(?, subject)", (session_id, subject)
        if end_sessions(db, which, values, end):
            return outcomes.Ended(end.reason, changed=True)
        row = db.execute(_TOMBSTONE.format(which), values).fetchone()
        return outcomes.Unknown() if row is None else codec.decode_ended(row)

    @override
    @command
    def end_all(
        self, db: Connection, subject: str, end: End, *, keep: str | None = None
    ) -> Sequence[str]:
        return end_sessions(db, "subject = ? AND id IS NOT ?", (subject, keep), end)

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
    async def revocations(self, after: str, now: datetime, access_ttl: timedelta) -> RevocationPage:
        return find_revocations(self._engine.read, after, now, access_ttl)


def end_sessions(
    db: Connection, which: str, values: Sequence[str | int | None], end: End, limit: int = -1
) -> Sequence[str]:
    """End the oldest of these sessions; return the ids of those that had not ended.

    For another clock, a session that has expired here may still be active. So it ends too, unless
    `which` says otherwise.
    """
    rows = db.execute(_NOT_ENDED.format(which), (*values, limit)).fetchall()
    ids = [row["id"] for row in rows]
    now = epoch(end.now)
    change = end.reason, end.cause, end.replaced_by, now, now
    db.executemany(_END, [(*change, session_id) for session_id in ids])
    event = "INSERT INTO events (session_id, created_at) VALUES (?, ?)"
    db.executemany(event, [(session_id, now) for session_id in ids])
    return ids


def _erase(db: Connection, subject: str, now: datetime) -> Sequence[str]:
    # A ban in force must outlive the erasure; one that is over is erased too.
    db.execute("DELETE FROM bans WHERE subject = ? AND until <= ?", (subject, epoch(now)))
    db.execute("DELETE FROM looks WHERE subject = ?", (subject,))
    ended = end_sessions(db, "subject = ?", (subject,), End(EndReason.ERASED, now))
    db.execute("DELETE FROM notes WHERE subject = ?", (subject,))
    db.execute(
        "UPDATE sessions SET subject = '', device_type = NULL, app_version = NULL,"
        " replaced_by = NULL, end_cause = NULL WHERE subject = ?",
        (subject,),
    )
    return ended


def _bind(db: Connection, session: Session, rotation: Rotation) -> Session:
    """The session with this proof. The first one binds it, which is noted."""
    bound = note_proof(session, rotation.proof)
    if bound.key_thumbprint != session.key_thumbprint:
        add_note(db, "session_bound", rotation.now, session.subject, session.id)
    return bound


def _advance(db: Connection, session: Session, rotation: Rotation) -> Session:
    if rotation.presented > session.generation:
        add_note(db, "rolled_forward", rotation.now, session.subject, session.id)
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


def _replay(db: Connection, session: Session, rotation: Rotation) -> outcomes.Replayed:
    session = _bind(db, session, rotation)
    add_note(db, "refresh_replayed", rotation.now, session.subject, session.id)
    sql = (
        "UPDATE sessions SET key_thumbprint = ?, seen_proofs = ?, replays = replays + 1,"
        " replayed_generations = replayed_generations + (replays = 0) WHERE id = ?"
        " RETURNING replays, replayed_generations"
    )
    values = session.key_thumbprint, session.seen_proofs, session.id
    return outcomes.Replayed(session, *db.execute(sql, values).fetchone())


def _kind_of_reuse(ahead: int, key_hash: bytes | None, rotation: Rotation) -> outcomes.ReuseKind:
    if ahead != -1:
        return "ahead" if ahead > 0 else "stale"
    return "recent_previous" if key_hash == rotation.key_hash else "other_key"
