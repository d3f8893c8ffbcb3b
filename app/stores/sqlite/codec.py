"""Sessions as rows."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from sqlite3 import Connection, Row

from app.sessions.models import EndReason, Session, epoch, instant
from app.sessions.outcomes import Active, Ended, Lookup, Unknown
from app.sessions.ports import MAX_SESSIONS

_NAMES = tuple(field.name for field in fields(Session))
_TIMES = slice(_NAMES.index("authenticated_at"), _NAMES.index("absolute_expires_at") + 1)
_COLUMNS = ", ".join(_NAMES)
_values_of = attrgetter(*_NAMES)
_STATE = "in_use, rotation_key_hash, end_reason, replaced_by"
FIND = f"SELECT {_COLUMNS}, {_STATE} FROM sessions WHERE id = ?"  # noqa: S608  # constants
_INSERT = f"INSERT INTO sessions ({_COLUMNS}, app_version) VALUES (?{', ?' * len(_NAMES)})"  # noqa: S608  # constants
ACTIVE = "FROM sessions WHERE subject = ? AND end_reason IS NULL AND expires_at > ?"
"""Selects the active sessions of a user. Its index has all that a count reads."""
# Within one second, in the order of writing.
NEWEST = f"SELECT {_COLUMNS} {ACTIVE} ORDER BY created_at DESC, rowid DESC LIMIT {MAX_SESSIONS}"


def find_session(db: Connection, session_id: str, now: datetime) -> Lookup:
    """The session as it is now."""
    return decode_found(db.execute(FIND, (session_id,)).fetchall(), now)


def insert_session(db: Connection, session: Session, app_version: str) -> None:
    """Store a new session."""
    values = [*_values_of(session), app_version]
    values[_TIMES] = map(epoch, values[_TIMES])
    db.execute(_INSERT, values)


def decode_found(rows: Sequence[Row], now: datetime) -> Lookup:
    """What the rows of `FIND` say: none, or one."""
    if not rows:
        return Unknown()
    (row,) = rows
    if row["end_reason"] is not None:
        return decode_ended(row)
    session = decode_session(row)
    return Active(session) if session.expires_at > now else Ended(EndReason.EXPIRED)


def decode_ended(row: Row) -> Ended:
    """A session that has ended."""
    return Ended(EndReason(row["end_reason"]), row["replaced_by"])


def decode_session(row: Row) -> Session:
    """A session, from a row that begins with all its columns."""
    values = list(row)[: len(_NAMES)]
    values[_TIMES] = map(instant, values[_TIMES])
    return Session(*values)
