"""Made-up sessions, and the commands that the store tests send about them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.sessions.models import Session
from app.sessions.ports import Rotation

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
IDLE = 14 * DAY
ABSOLUTE = 30 * DAY
WINDOW = 24 * HOUR


def make_session(session_id: str = "session-a", **changes: Any) -> Session:
    values: dict[str, Any] = {
        "id": session_id,
        "subject": "5e00000000000000000000aa",
        "generation": 0,
        "binding_kid": "first-binding-key",
        "sealed_profile": b"sealed:" + session_id.encode(),
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
    binding_kid: str = "second-binding-key",
    window: timedelta = WINDOW,
) -> Rotation:
    return Rotation(
        session_id=session_id,
        presented=presented,
        binding_kid=binding_kid,
        now=at,
        idle_ttl=IDLE,
        recovery_window=window,
    )
