"""What has happened to sessions: their rows, active or not, and notes about the rest."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from sqlite3 import Connection, Row
from typing import Any

from typing_extensions import override

from app.sessions.models import EndReason, Note, NoteEvent, Records, SessionRecord, epoch, instant
from app.sessions.ports import MAX_SESSIONS, HistoryStore
from app.stores.sqlite.engine import Command

_NOTE = (
    "INSERT INTO notes (subject, session_id, event, kind, first_at, last_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (session_id, event, kind)"
    " DO UPDATE SET count = count + 1, last_at = excluded.last_at"
)
# A session that had expired when it was ended is told as expired.
_SESSIONS = """
    SELECT id, device_type, app_version, generation AS refreshes, created_at, last_used_at,
        coalesce(ended_at, expires_at) AS expires_at, absolute_expires_at, end_cause, replaced_by,
        CASE WHEN ended_at < expires_at THEN 'expired' ELSE end_reason END AS end_reason
    FROM sessions
"""
_OF_USER = (
    f"{_SESSIONS} WHERE subject = ? AND subject <> '' ORDER BY created_at DESC, rowid DESC LIMIT ?"
)
_OF_SESSION = f"{_SESSIONS} WHERE id = ? AND subject <> ''"
_NOTES = "SELECT session_id, event, kind, count, first_at, last_at FROM notes"
_MOST_NOTES = 8 * MAX_SESSIONS


class SqliteHistory(HistoryStore):
    """`HistoryStore` over one SQLite file. `read` runs a query on a connection that only reads."""

    def __init__(self, read: Callable[[Command[Any]], Any]) -> None:
        self._read = read

    @override
    async def of_user(self, subject: str) -> Records:
        notes = f"{_NOTES} WHERE subject = ? ORDER BY last_at DESC LIMIT ?"
        return await self._records(
            (_OF_USER, (subject, MAX_SESSIONS)), (notes, (subject, _MOST_NOTES))
        )

    @override
    async def of_session(self, session_id: str) -> Records:
        notes = f"{_NOTES} WHERE session_id = ?"
        return await self._records((_OF_SESSION, (session_id,)), (notes, (session_id,)))

    async def _records(self, *queries: tuple[str, Sequence[object]]) -> Records:
        def read(db: Connection) -> Sequence[Sequence[Row]]:
            return [db.execute(*query).fetchall() for query in queries]

        rows, notes = self._read(read)
        of: dict[str | None, list[Note]] = {}
        for row in notes:
            of.setdefault(row["session_id"], []).append(_note(row))
        return Records([_record(row, of.get(row["id"], ())) for row in rows], of.get(None, ()))


def add_note(
    db: Connection,
    event: NoteEvent,
    subject: str,
    now: datetime,
    session_id: str | None = None,
    *,
    kind: str = "",
) -> None:
    """Note an event of the session, or without one of the user's bans."""
    db.execute(_NOTE, (subject, session_id, event, kind, epoch(now), epoch(now)))


def _record(row: Row, notes: Sequence[Note]) -> SessionRecord:
    values = {field.name: row[field.name] for field in fields(SessionRecord)[:-1]}
    for name in ("created_at", "last_used_at", "expires_at", "absolute_expires_at"):
        values[name] = instant(values[name])
    if values["end_reason"] is not None:
        values["end_reason"] = EndReason(values["end_reason"])
    return SessionRecord(**values, notes=notes)


def _note(row: Row) -> Note:
    _, event, kind, count, first_at, last_at = row
    return Note(event, kind, count, instant(first_at), instant(last_at))
