"""What has happened to sessions: their rows, active or not, and notes about the rest."""

from collections.abc import Callable
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from typing_extensions import override

from app.sessions.models import Found, Note, Session, epoch, instant, session_record
from app.sessions.ports import MAX_SESSIONS, HistoryStore
from app.stores.sqlite.engine import Command

_NOTE = (
    "INSERT INTO notes (subject, session_id, event, kind, first_at, last_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (session_id, event, kind)"
    " DO UPDATE SET count = count + 1, last_at = excluded.last_at"
)
# A session that had expired when it was ended is told as expired.
_RECORDS = """
    SELECT id, device_type, app_version, generation AS refreshes, created_at, last_used_at,
        coalesce(ended_at, expires_at) AS expires_at, absolute_expires_at, end_cause, replaced_by,
        CASE WHEN ended_at < expires_at THEN 'expired' ELSE end_reason END AS end_reason
    FROM sessions WHERE {} = ? AND subject <> '' ORDER BY created_at DESC, rowid DESC LIMIT {}
"""
_NOTES = "SELECT session_id, event, kind, count, first_at, last_at FROM notes WHERE {} = ? LIMIT {}"


class SqliteHistory(HistoryStore):
    """`HistoryStore` over one SQLite file. `read` runs a query on a connection that only reads."""

    def __init__(self, read: Callable[[Command[Any]], Any]) -> None:
        self._read = read

    @override
    async def of_user(self, subject: str) -> Found:
        return self._find("subject", "subject", subject)

    @override
    async def of_session(self, session_id: str) -> Found:
        return self._find("id", "session_id", session_id)

    def _find(self, column: str, column_of_notes: str, name: str) -> Found:
        sql = (
            _RECORDS.format(column, MAX_SESSIONS),
            _NOTES.format(column_of_notes, 8 * MAX_SESSIONS),
        )
        rows, notes = self._read(lambda db: [db.execute(each, (name,)).fetchall() for each in sql])
        of: dict[str | None, list[Note]] = {}
        for session_id, event, kind, count, *times in notes:
            of.setdefault(session_id, []).append(Note(event, kind, count, *map(instant, times)))
        return [session_record(row, of.get(row["id"], ())) for row in rows], of.get(None, ())


def add_note(db: Connection, event: str, session: Session, now: datetime, kind: str = "") -> None:
    """Note an event of the session."""
    values = session.subject, session.id, event, kind, epoch(now), epoch(now)
    db.execute(_NOTE, values)


def add_ban_note(db: Connection, event: str, subject: str, now: datetime) -> None:
    """Note an event of the user's bans."""
    db.execute(_NOTE, (subject, None, event, "", epoch(now), epoch(now)))
