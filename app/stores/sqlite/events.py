"""The events of sessions, written in the transaction that changes the session.

A cursor is the number and the session of an event. So the cursor of another database, or of one
that was restored from a backup, is not taken for one of this database.
"""

from datetime import datetime, timedelta
from sqlite3 import Connection, Row

from app.sessions.models import EndReason, Revocation, RevocationPage, epoch, instant
from app.sessions.ports import MAX_SESSIONS

_REVOCATIONS = """
    SELECT e.id, e.session_id, s.subject, s.end_reason, s.expires_at AS ended_at,
        min(s.expires_at + ?, s.absolute_expires_at) AS tokens_expire_at
    FROM events e JOIN sessions s ON s.id = e.session_id
    WHERE e.id > ? AND e.id <= ? AND tokens_expire_at > ? ORDER BY e.id LIMIT ?
"""


def add_event(db: Connection, session_id: str, now: datetime) -> None:
    """Note that the session has ended."""
    sql = "INSERT INTO events (session_id, created_at) VALUES (?, ?)"
    db.execute(sql, (session_id, epoch(now)))


def find_revocations(
    db: Connection, after: str, now: datetime, access_ttl: timedelta
) -> RevocationPage:
    """The sessions that ended after the cursor. Other commits may come between the statements."""
    newest = db.execute("SELECT max(id) AS id, session_id FROM events").fetchone()
    known = "SELECT id FROM events WHERE id = ? AND session_id = ?"
    number, _, session_id = after.partition(".")
    row = db.execute(known, (number, session_id)).fetchone()
    first, last = (row["id"] if row else 0), newest["id"]
    values = (int(access_ttl.total_seconds()), first, last, epoch(now), MAX_SESSIONS)
    rows = db.execute(_REVOCATIONS, values).fetchall()
    full = len(rows) == MAX_SESSIONS
    found = [_revocation(row) for row in rows]
    return RevocationPage(found, _cursor(rows[-1] if full else newest), more=full)


def _revocation(row: Row) -> Revocation:
    reason = EndReason(row["end_reason"])
    return Revocation(
        session_id=row["session_id"],
        subject=row["subject"] or None,
        reason=reason,
        ended_at=instant(row["ended_at"]),
        expires_at=instant(row["tokens_expire_at"]),
        cursor=_cursor(row),
    )


def _cursor(event: Row) -> str:
    return f"{event['id'] or 0}.{event['session_id'] or ''}"  # 0: there is no event
