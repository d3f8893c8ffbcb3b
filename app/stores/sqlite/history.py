"""The history: rows of sessions, notes of other events, and the order of ends.

All of it is written in the transaction that changes the session.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from sqlite3 import Connection, Row
from typing import Any, TypeAlias

from typing_extensions import override

from app.sessions.models import Found, Note, RevocationPage, SessionRecord, epoch, revocation
from app.sessions.ports import MAX_SESSIONS, HistoryStore

Read: TypeAlias = Callable[[str, Sequence[Any]], Sequence[Any]]
"""Runs a query and returns its rows."""
_NOTE = (
    "INSERT INTO notes (subject, session_id, event, kind, first_at, last_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (session_id, event, kind)"
    " DO UPDATE SET count = count + 1, last_at = excluded.last_at"
)
# A session that had expired when it was ended is told as expired.
# The columns of `SessionRecord`, in its order.
_RECORDS = """
    SELECT id, device_type, app_version, generation, created_at, last_used_at,
        coalesce(ended_at, expires_at), absolute_expires_at,
        CASE WHEN ended_at < expires_at THEN 'expired' ELSE end_reason END, end_cause, replaced_by
    FROM sessions WHERE {} = ? AND subject <> '' ORDER BY created_at DESC, rowid DESC LIMIT {}
"""
_NOTES = "SELECT session_id, event, kind, count, first_at, last_at FROM notes WHERE {} = ? LIMIT {}"
_REVOCATIONS = """
    SELECT e.id, e.session_id, s.subject, s.end_reason, s.expires_at AS ended_at,
        min(s.expires_at + ?, s.absolute_expires_at) AS tokens_expire_at
    FROM events e JOIN sessions s ON s.id = e.session_id
    WHERE e.id > coalesce((SELECT id FROM events WHERE id = ? AND session_id = ?), 0)
        AND e.id <= ? AND tokens_expire_at > ? ORDER BY e.id LIMIT ?
"""


class SqliteHistory(HistoryStore):
    """`HistoryStore` over one SQLite file."""

    def __init__(self, read: Read) -> None:
        self._read = read

    @override
    async def find(self, *, subject: str = "", session_id: str = "") -> Found:
        column, in_notes = ("subject", "subject") if subject else ("id", "session_id")
        name = (subject or session_id,)
        rows = self._read(_RECORDS.format(column, MAX_SESSIONS), name)
        notes = self._read(_NOTES.format(in_notes, 8 * MAX_SESSIONS), name)
        of: dict[str | None, list[Note]] = {}
        for noted, *note in notes:
            of.setdefault(noted, []).append(Note(*note))
        return [SessionRecord(of.get(row["id"], ()), *row) for row in rows], of.get(None, ())


def add_note(
    db: Connection, event: str, now: datetime, user: str, session_id: str | None, *, kind: str = ""
) -> None:
    """Note an event of the session; without an id, of the user's bans."""
    db.execute(_NOTE, (user, session_id, event, kind, epoch(now), epoch(now)))


def find_revocations(
    read: Read, after: str, now: datetime, access_ttl: timedelta
) -> RevocationPage:
    """The sessions that ended after the cursor. Other commits may come between the queries.

    A cursor is the number and the session of an event. So the cursor of another database, or of one
    that was restored from a backup, is not taken for one of this database.
    """
    (newest,) = read("SELECT max(id) AS id, session_id FROM events", ())
    number, _, session_id = after.partition(".")
    ttl = int(access_ttl.total_seconds())
    values = (ttl, number, session_id, newest["id"], epoch(now), MAX_SESSIONS)
    rows = read(_REVOCATIONS, values)
    full = len(rows) == MAX_SESSIONS
    cursor = _cursor(rows[-1] if full else newest)
    found = [(_cursor(row), revocation(*row[1:])) for row in rows]
    return RevocationPage(found, cursor, more=full)


def _cursor(event: Row) -> str:
    return f"{event['id'] or 0}.{event['session_id'] or ''}"  # 0: there is no event
