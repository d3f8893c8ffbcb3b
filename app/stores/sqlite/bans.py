"""Bans of users."""

from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Connection, Row

from typing_extensions import override

from app.sessions.models import Ban, EndReason, epoch, instant
from app.sessions.ports import MAX_LISTED_BANS, BanStore
from app.stores.sqlite.engine import SqlitePort, command, query
from app.stores.sqlite.history import add_ban_note
from app.stores.sqlite.sessions import end_all_sessions


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
        add_ban_note(db, "banned", ban.subject, ban.created_at)
        return end_all_sessions(db, ban.subject, EndReason.BANNED, ban.created_at)

    @override
    @command
    def lift(self, db: Connection, subject: str, now: datetime) -> None:
        if find_ban(db, subject, now) is not None:
            add_ban_note(db, "ban_lifted", subject, now)
        db.execute("DELETE FROM bans WHERE subject = ?", (subject,))

    @override
    @query
    def find(self, db: Connection, subject: str, now: datetime) -> Ban | None:
        return find_ban(db, subject, now)

    @override
    @query
    def list_bans(self, db: Connection, now: datetime) -> Sequence[Ban]:
        sql = (
            "SELECT * FROM bans WHERE until IS NULL OR until > ?"
            " ORDER BY until DESC NULLS FIRST, subject DESC LIMIT ?"
        )
        return [_ban(row) for row in db.execute(sql, (epoch(now), MAX_LISTED_BANS))]


def find_ban(db: Connection, subject: str, now: datetime) -> Ban | None:
    """The ban in force, inside a transaction."""
    sql = "SELECT * FROM bans WHERE subject = ? AND (until IS NULL OR until > ?)"
    row = db.execute(sql, (subject, epoch(now))).fetchone()
    return None if row is None else _ban(row)


def _ban(row: Row) -> Ban:
    until = instant(row["until"]) if row["until"] is not None else None
    return Ban(row["subject"], row["reason"], instant(row["created_at"]), until)
