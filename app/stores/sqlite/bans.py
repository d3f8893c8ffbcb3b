"""Users who may not have sessions. Functions over a connection, inside a transaction."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from app.sessions.models import Ban, Ending
from app.stores.sqlite import sessions
from app.stores.sqlite.instants import epoch, instant


def put(db: sqlite3.Connection, ban: Ban) -> Sequence[str]:
    """Ban the user, or change the ban, and end what sessions they have."""
    db.execute(
        "INSERT OR REPLACE INTO bans (subject, reason, created_at, until) VALUES (?, ?, ?, ?)",
        (ban.subject, ban.reason, epoch(ban.created_at), epoch(ban.until) if ban.until else None),
    )
    return sessions.end_all(db, ban.subject, Ending.BANNED, ban.created_at)


def lift(db: sqlite3.Connection, subject: str) -> None:
    """Forget the ban."""
    db.execute("DELETE FROM bans WHERE subject = ?", (subject,))


def forget_if_over(db: sqlite3.Connection, subject: str, now: datetime) -> None:
    """Forget a ban that is no longer in force."""
    db.execute("DELETE FROM bans WHERE subject = ? AND until <= ?", (subject, epoch(now)))


def find(db: sqlite3.Connection, subject: str, now: datetime) -> Ban | None:
    """The ban in force."""
    sql = "SELECT * FROM bans WHERE subject = ? AND (until IS NULL OR until > ?)"
    row = db.execute(sql, (subject, epoch(now))).fetchone()
    if row is None:
        return None
    until = instant(row["until"]) if row["until"] is not None else None
    return Ban(row["subject"], row["reason"], instant(row["created_at"]), until)
