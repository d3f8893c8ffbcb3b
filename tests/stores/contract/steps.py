"""Stories of sessions: commands in turn, each with its outcome or the type of its outcome."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias

from app.sessions.models import End, EndReason
from app.sessions.ports import SessionLimits, Stores, TicketLease
from tests.stores.builders import NOW, SUBJECT, UNLIMITED, make_session, rotation_of

Act: TypeAlias = Callable[[Stores], Awaitable[object]]
Step: TypeAlias = tuple[Act, object]


async def play(store: Stores, *steps: Step) -> None:
    for number, (act, expected) in enumerate(steps):
        outcome = await act(store)
        fits = isinstance(outcome, expected) if isinstance(expected, type) else outcome == expected
        assert fits, f"step {number}: {outcome}"


def rotate(presented: int, at: datetime = NOW, **more: Any) -> Act:
    return lambda store: store.sessions.rotate(rotation_of(presented, at=at, **more))


def touch(generation: int, at: datetime = NOW, session_id: str = "session-a") -> Act:
    return lambda store: store.sessions.touch(session_id, generation, at)


def check(generation: int, at: datetime = NOW) -> Act:
    return lambda store: store.sessions.check("session-a", generation, at)


def end(
    reason: EndReason = EndReason.LOGGED_OUT,
    at: datetime = NOW,
    session_id: str = "session-a",
    subject: str | None = SUBJECT,
) -> Act:
    return lambda store: store.sessions.end(session_id, subject, End(reason, at))


def end_all(reason: EndReason, at: datetime = NOW, *, keep: str | None = None) -> Act:
    return lambda store: store.sessions.end_all(SUBJECT, End(reason, at), keep=keep)


def erase(at: datetime = NOW, subject: str = SUBJECT) -> Act:
    return lambda store: store.sessions.erase(subject, at)


def purge(at: datetime) -> Act:
    return lambda store: store.maintenance.purge(at)


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
