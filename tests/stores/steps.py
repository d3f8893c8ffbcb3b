"""Stories of sessions: commands in turn, each with its outcome or the type of its outcome."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias

from app.errors import StoreUnavailable
from app.sessions.models import Ban, End, EndReason
from app.sessions.ports import SessionLimits, Stores, TicketLease
from tests.stores.builders import (
    NOW,
    ONE,
    SUBJECT,
    UNLIMITED,
    ban_of,
    keep,
    make_session,
    rotation_of,
)

Act: TypeAlias = Callable[[Stores], Awaitable[object]]
Step: TypeAlias = tuple[Act, object]


async def play(store: Stores, *steps: Step) -> None:
    for number, (act, expected) in enumerate(steps):
        outcome = await act(store)
        fits = isinstance(outcome, expected) if isinstance(expected, type) else outcome == expected
        assert fits, f"step {number}: {outcome}"


async def run(store: Stores, *acts: Act) -> None:
    """Run commands in turn, whatever their outcomes."""
    for act in acts:
        await act(store)


async def fails(command: Awaitable[object]) -> bool:
    """Whether it raises StoreUnavailable. Any other exception is raised."""
    try:
        await command
    except StoreUnavailable:
        return True
    return False


# --- tickets ---


def acquire(lease: TicketLease) -> Act:
    return lambda store: store.tickets.acquire(lease)


def release(lease: TicketLease) -> Act:
    return lambda store: store.tickets.release(lease)


def create(
    lease: TicketLease,
    session_id: str = "session-a",
    limits: SessionLimits = UNLIMITED,
    **more: Any,
) -> Act:
    session = make_session(session_id, **more)
    return lambda store: store.tickets.create_session(lease, session, limits)


def add(session_id: str = "session-a", limits: SessionLimits = UNLIMITED, **more: Any) -> Act:
    """Create a session with a ticket of its own; the outcome is the ids that it replaced."""
    return lambda store: keep(store, make_session(session_id, **more), limits)


# --- sessions ---


def rotate(presented: int, at: datetime = NOW, **more: Any) -> Act:
    return lambda store: store.sessions.rotate(rotation_of(presented, at=at, **more))


def touch(generation: int, at: datetime = NOW, session_id: str = "session-a") -> Act:
    return lambda store: store.sessions.touch(session_id, generation, at)


def check(generation: int, at: datetime = NOW) -> Act:
    return lambda store: store.sessions.check("session-a", generation, at)


def active_ids(at: datetime = NOW, subject: str = SUBJECT) -> Act:
    async def ids(store: Stores) -> list[str]:
        return [each.id for each in await store.sessions.active_sessions(subject, at)]

    return ids


def end(
    reason: EndReason = EndReason.LOGGED_OUT,
    at: datetime = NOW,
    session_id: str = "session-a",
    subject: str | None = SUBJECT,
    by: str = "",
) -> Act:
    return lambda store: store.sessions.end(session_id, subject, End(reason, at, by))


def end_all(
    reason: EndReason = EndReason.KICKED,
    at: datetime = NOW,
    subject: str = SUBJECT,
    *,
    keep: str | None = None,
    by: str = "",
) -> Act:
    return lambda store: store.sessions.end_all(subject, End(reason, at, by), keep=keep)


def erase(at: datetime = NOW, subject: str = SUBJECT) -> Act:
    return lambda store: store.sessions.erase(subject, at)


# --- bans, and the store as a whole ---


def put(ban: Ban) -> Act:
    return lambda store: store.bans.put(ban)


def lift(subject: str = SUBJECT, at: datetime = NOW) -> Act:
    return lambda store: store.bans.lift(subject, at)


def find(at: datetime = NOW, subject: str = SUBJECT) -> Act:
    return lambda store: store.bans.find(subject, at)


def list_bans(at: datetime = NOW) -> Act:
    return lambda store: store.bans.list_bans(at)


def purge(at: datetime = NOW) -> Act:
    return lambda store: store.maintenance.purge(at)


def check_writable() -> Act:
    return lambda store: store.maintenance.check_writable()


ENDS: dict[EndReason, Act] = {
    EndReason.LOGGED_OUT: end(),
    EndReason.KICKED: end_all(),
    EndReason.BANNED: put(ban_of()),
    EndReason.ERASED: erase(),
    EndReason.REFRESH_REUSED: rotate(0),
    EndReason.REPLACED: add("session-b", ONE),
}
"""What ends session-a of a later generation, by its end reason."""
