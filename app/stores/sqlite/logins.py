"""Tickets and bans, and the decision of a login: it also ends sessions above a limit."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from sqlite3 import Connection, Row

from typing_extensions import override

from app.sessions import outcomes
from app.sessions.models import Ban, End, EndReason, Session, epoch, instant
from app.sessions.ports import (
    MAX_LISTED_BANS,
    MAX_SESSIONS,
    BanStore,
    SessionLimits,
    TicketLease,
    TicketStore,
)
from app.stores.sqlite.codec import ACTIVE, find_session, insert_session
from app.stores.sqlite.engine import SqlitePort, command
from app.stores.sqlite.history import add_note
from app.stores.sqlite.sessions import end_sessions

_LEASE = (
    "INTO tickets (hash, key_hash, holder, lease_ends_at, expires_at, session_id)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_KNOWN = "SELECT * FROM tickets WHERE (hash = ? OR key_hash = ?) AND expires_at > ?"
_BANS = "SELECT * FROM bans WHERE (until IS NULL OR until > ?)"
# In one row: the ticket and the ban, if they are there, and the number of active sessions.
_LOGIN = f"""
    SELECT key_hash, session_id, bans.subject AS banned, until, (SELECT count(*) {ACTIVE}) AS active
    FROM (SELECT 1) LEFT JOIN tickets ON hash = ?
        LEFT JOIN bans ON bans.subject = ? AND (until IS NULL OR until > ?)
"""  # noqa: S608  # constants


class SqliteTickets(SqlitePort, TicketStore):
    """`TicketStore` over one SQLite file."""

    @override
    @command
    def acquire(self, db: Connection, lease: TicketLease) -> outcomes.Acquisition:
        now = epoch(lease.now)
        found = db.execute(_KNOWN, (lease.ticket_hash, lease.key_hash, now))
        known = {row["hash"]: row for row in found}
        row = known.pop(lease.ticket_hash, None)
        if known:  # by its key
            return outcomes.KeyConflict()
        if row is not None and row["session_id"] is not None:
            return _already_used(db, row, lease)
        if row is not None and row["lease_ends_at"] > now:
            return outcomes.Held(instant(row["lease_ends_at"]))
        db.execute(f"INSERT OR REPLACE {_LEASE}", _values(lease, lease.key_hash))
        return outcomes.Acquired()

    @override
    @command
    def release(self, db: Connection, lease: TicketLease) -> None:
        _release(db, lease)

    @override
    @command
    def create_session(
        self,
        db: Connection,
        lease: TicketLease,
        session: Session,
        limits: SessionLimits,
        app_version: str = "",
    ) -> outcomes.Creation:
        # Another login may have taken over the lease. The slow holder may still create the session,
        # because Authing may accept a ticket only once. The first session created wins.
        user = session.subject, epoch(session.created_at)
        row = db.execute(_LOGIN, (*user, lease.ticket_hash, *user)).fetchone()
        if row["session_id"] is not None:
            return _already_used(db, row, lease)
        if row["banned"] is not None:
            _release(db, lease)
            return outcomes.Banned(_until(row))
        replaced = _evict(db, session, limits, row["active"])
        insert_session(db, session, app_version)
        if session.key_thumbprint is not None:
            add_note(db, "session_bound", session.created_at, session.subject, session.id)
        note = "UPDATE tickets SET session_id = ? WHERE hash = ?"
        if not db.execute(note, (session.id, lease.ticket_hash)).rowcount:
            _restore(db, lease, session.id)
        return outcomes.Opened(replaced)


class SqliteBans(SqlitePort, BanStore):
    """`BanStore` over one SQLite file."""

    @override
    @command
    def put(self, db: Connection, ban: Ban) -> Sequence[str]:
        until = epoch(ban.until) if ban.until else None
        db.execute(
            "INSERT OR REPLACE INTO bans (subject, reason, created_at, until) VALUES (?, ?, ?, ?)",
            (ban.subject, ban.reason, epoch(ban.created_at), until),
        )
        add_note(db, "banned", ban.created_at, ban.subject, None)
        return end_sessions(
            db, "subject = ?", (ban.subject,), End(EndReason.BANNED, ban.created_at)
        )

    @override
    @command
    def lift(self, db: Connection, subject: str, now: datetime) -> None:
        # A ban that has expired is deleted too, but has no note.
        db.execute("DELETE FROM bans WHERE subject = ? AND until <= ?", (subject, epoch(now)))
        if db.execute("DELETE FROM bans WHERE subject = ?", (subject,)).rowcount:
            add_note(db, "ban_lifted", now, subject, None)

    @override
    async def find(self, subject: str, now: datetime) -> Ban | None:
        rows = self._engine.read(f"{_BANS} AND subject = ?", (epoch(now), subject))
        return _ban(rows[0]) if rows else None

    @override
    async def list_bans(self, now: datetime) -> Sequence[Ban]:
        sql = f"{_BANS} ORDER BY until DESC NULLS FIRST, subject DESC LIMIT ?"
        return [_ban(row) for row in self._engine.read(sql, (epoch(now), MAX_LISTED_BANS))]


def _release(db: Connection, lease: TicketLease) -> None:
    db.execute(
        "DELETE FROM tickets WHERE hash = ? AND holder = ? AND session_id IS NULL",
        (lease.ticket_hash, lease.holder),
    )


def _restore(db: Connection, lease: TicketLease, session_id: str) -> None:
    # Another login took over the lease and released it. The idempotency key may already belong to
    # another ticket: then the second statement has an effect.
    for key_hash in (lease.key_hash, None):
        db.execute(f"INSERT OR IGNORE {_LEASE}", _values(lease, key_hash, session_id))


def _values(
    lease: TicketLease, key_hash: bytes | None, session_id: str | None = None
) -> tuple[object, ...]:
    times = epoch(lease.lease_ends_at), epoch(lease.expires_at)
    return (lease.ticket_hash, key_hash, lease.holder, *times, session_id)


def _already_used(db: Connection, row: Row, lease: TicketLease) -> outcomes.AlreadyUsed:
    same_key = lease.key_hash is not None and row["key_hash"] == lease.key_hash
    found = find_session(db, row["session_id"], lease.now) if same_key else None
    if isinstance(found, outcomes.Active) and found.session.generation == 0:
        add_note(db, "login_replayed", lease.now, found.session.subject, found.session.id)
        return outcomes.AlreadyUsed(found.session)
    return outcomes.AlreadyUsed(None)


def _evict(db: Connection, newcomer: Session, limits: SessionLimits, active: int) -> Sequence[str]:
    """End the sessions that the newcomer replaces; return their ids.

    At most MAX_SESSIONS of the oldest go at once. The next logins replace the rest.
    """
    now, device_type = newcomer.created_at, newcomer.device_type
    which, user = "subject = ? AND expires_at > ?", (newcomer.subject, epoch(now))
    end = partial(End, EndReason.REPLACED, now, replaced_by=device_type)
    replaced = list[str]()
    if limits.one_per_device_type and device_type is not None:
        of_type, values = f"{which} AND device_type = ?", (*user, device_type)
        replaced += end_sessions(db, of_type, values, end("one_per_device_type"))
    surplus = active - len(replaced) + 1 - limits.max_per_user
    if surplus > 0:
        limit = min(surplus, MAX_SESSIONS)
        replaced += end_sessions(db, which, user, end("max_per_user"), limit)
    return replaced


def _ban(row: Row) -> Ban:
    return Ban(row["subject"], row["reason"], instant(row["created_at"]), _until(row))


def _until(row: Row) -> datetime | None:
    return None if row["until"] is None else instant(row["until"])
