"""Made-up sessions, leases and bans, and the commands that the store tests send about them."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from app.sessions.models import Ban, Session
from app.sessions.outcomes import Opened
from app.sessions.ports import Rotation, SessionLimits, Stores, TicketLease

NOW = datetime(2020, 11, 22, 12, tzinfo=UTC)
"""Long past by the clock of every server, so that only this clock decides."""
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
IDLE = 14 * DAY
ABSOLUTE = 30 * DAY
WINDOW = 24 * HOUR
LEASE = 10 * SECOND
TICKET_LIFE = 150 * SECOND
SUBJECT = "5e00000000000000000000aa"
UNLIMITED = SessionLimits(max_per_user=1000, one_per_device_type=False)
ONE = SessionLimits(max_per_user=1, one_per_device_type=False)
ONE_PER_TYPE = SessionLimits(max_per_user=1000, one_per_device_type=True)


def make_session(session_id: str = "session-a", **changes: Any) -> Session:
    values: dict[str, Any] = {
        "id": session_id,
        "subject": SUBJECT,
        "device_type": None,
        "generation": 0,
        "secret_kid": "first-secret-key",
        "encrypted_profile": b"encrypted:" + session_id.encode(),
        "authenticated_at": NOW - 2 * SECOND,
        "created_at": NOW,
        "last_used_at": NOW,
        "expires_at": NOW + IDLE,
        "absolute_expires_at": NOW + ABSOLUTE,
    }
    return Session(**values | changes)


def rotation_of(
    presented: int,
    *,
    at: datetime = NOW,
    session_id: str = "session-a",
    secret_kid: str = "second-secret-key",
    window: timedelta = WINDOW,
    key: str | None = None,
    **more: Any,
) -> Rotation:
    return Rotation(
        session_id=session_id,
        presented=presented,
        secret_kid=secret_kid,
        key_hash=hashlib.sha256(key.encode()).digest() if key else None,
        now=at,
        idle_ttl=IDLE,
        recovery_window=window,
        **more,
    )


def lease_of(
    ticket: str = "ticket-a",
    *,
    key: str | None = None,
    holder: str = "holder-a",
    at: datetime = NOW,
    life: timedelta = TICKET_LIFE,
) -> TicketLease:
    return TicketLease(
        ticket_hash=_hash(ticket),
        key_hash=None if key is None else _hash(key),
        holder=holder,
        now=at,
        lease_ends_at=at + LEASE,
        expires_at=at + life,
    )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def ban_of(
    subject: str = SUBJECT,
    *,
    at: datetime = NOW,
    until: datetime | None = None,
    reason: str = "spam",
) -> Ban:
    return Ban(subject, reason, created_at=at, until=until)


async def keep(store: Stores, session: Session, limits: SessionLimits = UNLIMITED) -> list[str]:
    """Store the session, with a lease that outlasts every purge; return the ids it replaced."""
    lease = lease_of(f"ticket of {session.id}", at=session.created_at, life=1000 * DAY)
    opened = await store.tickets.create_session(lease, session, limits)
    assert isinstance(opened, Opened)
    return list(opened.replaced)
