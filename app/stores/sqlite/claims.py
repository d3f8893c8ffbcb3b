"""Tickets in the hands of logins. Functions over a connection, inside a transaction."""

import sqlite3
from datetime import datetime

from app.sessions.models import Session
from app.sessions.ports import (
    Banned,
    Claim,
    Claimed,
    ClaimHeld,
    KeyTaken,
    Opened,
    Redeemed,
    SessionLimits,
)
from app.stores.sqlite import bans, sessions
from app.stores.sqlite.instants import epoch, instant


def take(db: sqlite3.Connection, claim: Claim) -> Claimed | ClaimHeld | Redeemed | KeyTaken:
    """Claim the ticket, or say who has it."""
    _forget(db, claim.now)
    if _key_is_taken(db, claim):
        return KeyTaken()
    row = _find(db, claim)
    if row is not None and row["session_id"] is not None:
        return _redeemed(db, row, claim)
    if row is not None and instant(row["lease_ends_at"]) > claim.now:
        return ClaimHeld(instant(row["lease_ends_at"]))
    db.execute(
        "INSERT OR REPLACE INTO claims (ticket_hash, key_hash, holder, lease_ends_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            claim.ticket_hash,
            claim.key_hash,
            claim.holder,
            epoch(claim.lease_ends_at),
            epoch(claim.expires_at),
        ),
    )
    return Claimed()


def release(db: sqlite3.Connection, claim: Claim) -> None:
    """Forget the claim if it is still this holder's and became no session."""
    db.execute(
        "DELETE FROM claims WHERE ticket_hash = ? AND holder = ? AND session_id IS NULL",
        (claim.ticket_hash, claim.holder),
    )


def open_session(
    db: sqlite3.Connection, claim: Claim, session: Session, limits: SessionLimits
) -> Opened | Redeemed | Banned:
    """Turn the ticket into this session, if it has not become one.

    It need not be ours any more: a holder that was slow, and was taken over, may be the only one
    whom the provider told who the user is. Whoever comes first with a session makes it.
    """
    row = _find(db, claim)
    if row is not None and row["session_id"] is not None:
        return _redeemed(db, row, claim)
    now = session.created_at
    ban = bans.find(db, session.subject, now)
    if ban is not None:
        release(db, claim)
        return Banned(ban.until)
    replaced = sessions.make_room(db, session, limits, now)
    sessions.add(db, session)
    # The row is gone when an heir has given up meanwhile; the key may serve another ticket by now.
    db.execute(
        "INSERT INTO claims (ticket_hash, key_hash, holder, lease_ends_at, expires_at, session_id)"
        " VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (ticket_hash) DO UPDATE SET session_id = excluded.session_id",
        (
            claim.ticket_hash,
            None if _key_is_taken(db, claim) else claim.key_hash,
            claim.holder,
            epoch(claim.lease_ends_at),
            epoch(claim.expires_at),
            session.id,
        ),
    )
    return Opened(replaced)


def _key_is_taken(db: sqlite3.Connection, claim: Claim) -> bool:
    sql = "SELECT 1 FROM claims WHERE key_hash = ? AND ticket_hash != ?"
    return db.execute(sql, (claim.key_hash, claim.ticket_hash)).fetchone() is not None


def _find(db: sqlite3.Connection, claim: Claim) -> sqlite3.Row | None:
    sql = "SELECT * FROM claims WHERE ticket_hash = ?"
    row: sqlite3.Row | None = db.execute(sql, (claim.ticket_hash,)).fetchone()
    return row


def _redeemed(db: sqlite3.Connection, row: sqlite3.Row, claim: Claim) -> Redeemed:
    same_key = claim.key_hash is not None and row["key_hash"] == claim.key_hash
    found = sessions.find(db, row["session_id"], claim.now)
    if same_key and isinstance(found, sessions.Living) and found.session.generation == 0:
        return Redeemed(found.session)
    return Redeemed(None)


def _forget(db: sqlite3.Connection, now: datetime) -> None:
    db.execute("DELETE FROM claims WHERE expires_at <= ?", (epoch(now),))
