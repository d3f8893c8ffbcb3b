"""Tickets: leased while they are exchanged, and which session each has become."""

from sqlite3 import Connection, Row

from typing_extensions import override

from app.sessions.models import Session, epoch, instant
from app.sessions.outcomes import Acquired, Active, AlreadyUsed, Banned, Held, KeyConflict, Opened
from app.sessions.ports import SessionLimits, TicketLease, TicketStore
from app.stores.sqlite.bans import find_ban
from app.stores.sqlite.engine import SqlitePort, command
from app.stores.sqlite.history import add_note
from app.stores.sqlite.sessions import evict_over_limit, find_session, insert_session

_COLUMNS = (
    "INTO tickets (hash, key_hash, holder, lease_ends_at, expires_at, session_id)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)


class SqliteTickets(SqlitePort, TicketStore):
    """`TicketStore` over one SQLite file."""

    @override
    @command
    def acquire(
        self, db: Connection, lease: TicketLease
    ) -> Acquired | Held | AlreadyUsed | KeyConflict:
        expired = "DELETE FROM tickets WHERE expires_at <= ? AND (hash = ? OR key_hash = ?)"
        db.execute(expired, (epoch(lease.now), lease.ticket_hash, lease.key_hash))
        if _belongs_to_another_ticket(db, lease):
            return KeyConflict()
        row = _find(db, lease)
        if row is not None and row["session_id"] is not None:
            return _already_used(db, row, lease)
        if row is not None and instant(row["lease_ends_at"]) > lease.now:
            return Held(instant(row["lease_ends_at"]))
        db.execute(f"INSERT OR REPLACE {_COLUMNS}", _values(lease, lease.key_hash))
        return Acquired()

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
    ) -> Opened | AlreadyUsed | Banned:
        # Another login may have taken over the lease. The slow holder may still create the session,
        # because Authing may have told the user to it alone. The first session created wins.
        row = _find(db, lease)
        if row is not None and row["session_id"] is not None:
            return _already_used(db, row, lease)
        ban = find_ban(db, session.subject, session.created_at)
        if ban is not None:
            _release(db, lease)
            return Banned(ban.until)
        replaced = evict_over_limit(db, session, limits)
        insert_session(db, session, app_version)
        if session.key_thumbprint is not None:
            add_note(db, "session_bound", session, session.created_at)
        if row is not None:
            note = "UPDATE tickets SET session_id = ? WHERE hash = ?"
            db.execute(note, (session.id, lease.ticket_hash))
        else:
            _restore(db, lease, session.id)
        return Opened(replaced)


def _restore(db: Connection, lease: TicketLease, session_id: str) -> None:
    # Another login took over the lease and released it. The idempotency key may already belong to
    # another ticket.
    key_hash = None if _belongs_to_another_ticket(db, lease) else lease.key_hash
    db.execute(f"INSERT {_COLUMNS}", _values(lease, key_hash, session_id))


def _values(
    lease: TicketLease, key_hash: bytes | None, session_id: str | None = None
) -> tuple[object, ...]:
    times = epoch(lease.lease_ends_at), epoch(lease.expires_at)
    return (lease.ticket_hash, key_hash, lease.holder, *times, session_id)


def _release(db: Connection, lease: TicketLease) -> None:
    db.execute(
        "DELETE FROM tickets WHERE hash = ? AND holder = ? AND session_id IS NULL",
        (lease.ticket_hash, lease.holder),
    )


def _belongs_to_another_ticket(db: Connection, lease: TicketLease) -> bool:
    if lease.key_hash is None:
        return False
    sql = "SELECT 1 FROM tickets WHERE key_hash = ? AND hash != ?"
    return db.execute(sql, (lease.key_hash, lease.ticket_hash)).fetchone() is not None


def _find(db: Connection, lease: TicketLease) -> Row | None:
    sql = "SELECT * FROM tickets WHERE hash = ?"
    row: Row | None = db.execute(sql, (lease.ticket_hash,)).fetchone()
    return row


def _already_used(db: Connection, row: Row, lease: TicketLease) -> AlreadyUsed:
    same_key = lease.key_hash is not None and row["key_hash"] == lease.key_hash
    found = find_session(db, row["session_id"], lease.now) if same_key else None
    if isinstance(found, Active) and found.session.generation == 0:
        add_note(db, "login_replayed", found.session, lease.now)
        return AlreadyUsed(found.session)
    return AlreadyUsed(None)
