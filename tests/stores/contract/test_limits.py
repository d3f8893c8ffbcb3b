"""How many sessions a user may have: which one is replaced, and by which device type."""

from datetime import UTC, datetime

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, AlreadyUsed, Ended
from app.sessions.ports import SessionLimits, Stores
from tests.stores.builders import (
    IDLE,
    NOW,
    SECOND,
    SUBJECT,
    UNLIMITED,
    keep,
    lease_of,
    make_session,
)

ONE = SessionLimits(max_per_user=1, one_per_device_type=False)
TWO = SessionLimits(max_per_user=2, one_per_device_type=False)
ONE_PHONE = SessionLimits(max_per_user=1000, one_per_device_type=True)
BOTH = SessionLimits(max_per_user=2, one_per_device_type=True)


async def log_in(
    store: Stores,
    number: int,
    limits: SessionLimits,
    device_type: str | None = None,
    subject: str = SUBJECT,
) -> list[str]:
    """Create session-{number} at second {number}; return the ids that it replaced."""
    at = NOW + number * SECOND
    session = make_session(
        f"session-{number}", created_at=at, device_type=device_type, subject=subject
    )
    return await keep(store, session, limits)


async def active(store: Stores) -> list[str]:
    return [
        session.id for session in await store.sessions.active_sessions(SUBJECT, NOW + 100 * SECOND)
    ]


async def test_a_session_below_the_limit_replaces_no_other(store: Stores) -> None:
    for number in range(20):
        assert await log_in(store, number, UNLIMITED, "ios") == []
    assert len(await active(store)) == 20


async def test_the_oldest_session_is_replaced_at_the_limit(store: Stores) -> None:
    assert await log_in(store, 1, TWO) == []
    assert await log_in(store, 2, TWO) == []
    assert await log_in(store, 3, TWO) == ["session-1"]
    assert await active(store) == ["session-2", "session-3"]


async def test_a_lowered_limit_replaces_the_oldest_sessions_first(store: Stores) -> None:
    for number in (3, 1, 4, 2):
        await log_in(store, number, UNLIMITED)
    assert await log_in(store, 5, TWO) == ["session-1", "session-2", "session-3"]
    assert await active(store) == ["session-4", "session-5"]


async def test_the_first_written_session_of_one_second_is_the_oldest(store: Stores) -> None:
    replaced = [await keep(store, make_session(name), TWO) for name in ("z", "a", "m")]
    assert replaced == [[], [], ["z"]]


async def test_an_ended_session_does_not_count_towards_the_limit(store: Stores) -> None:
    await log_in(store, 1, TWO)
    await log_in(store, 2, TWO)
    await store.sessions.end("session-2", SUBJECT, EndReason.LOGGED_OUT, NOW + 2 * SECOND)
    assert await log_in(store, 3, TWO) == []
    later = NOW + IDLE + 3 * SECOND
    await keep(store, make_session("later", created_at=later, expires_at=later + IDLE), TWO)
    assert await store.sessions.touch("session-1", 0, later) == Ended(EndReason.EXPIRED)


async def test_sessions_of_another_user_do_not_count_towards_the_limit(store: Stores) -> None:
    for number in (1, 2):
        await log_in(store, number, BOTH, "ios", subject=f"user-{number}")
    assert await log_in(store, 3, BOTH, "ios") == []


async def test_a_second_phone_of_a_type_replaces_the_first(store: Stores) -> None:
    await log_in(store, 1, ONE_PHONE, "ios")
    await log_in(store, 2, ONE_PHONE, "android")
    assert await log_in(store, 3, ONE_PHONE, "ios") == ["session-1"]
    assert await active(store) == ["session-2", "session-3"]


async def test_phones_of_unknown_type_replace_no_session(store: Stores) -> None:
    for number, device_type in enumerate([None, "ios", None]):
        assert await log_in(store, number, ONE_PHONE, device_type) == []


async def test_under_both_limits_the_same_type_goes_first_and_then_the_oldest(
    store: Stores,
) -> None:
    await log_in(store, 1, BOTH, "android")
    await log_in(store, 2, BOTH, "ios")
    assert await log_in(store, 3, BOTH, "ios") == ["session-2"]
    assert await log_in(store, 4, BOTH) == ["session-1"]
    assert await active(store) == ["session-3", "session-4"]


async def test_under_both_limits_a_surplus_goes_together_with_the_same_type(store: Stores) -> None:
    for number, device_type in enumerate(["android", "ios", None, "ios"]):
        await log_in(store, number, UNLIMITED, device_type)
    replaced = await log_in(store, 4, BOTH, "ios")
    assert sorted(replaced) == ["session-0", "session-1", "session-3"]
    assert await active(store) == ["session-2", "session-4"]


@pytest.mark.parametrize("newcomer", ["ios", None])
async def test_a_replaced_session_names_the_device_type_that_replaced_it(
    store: Stores, newcomer: str | None
) -> None:
    await log_in(store, 1, ONE, "android")
    await log_in(store, 2, ONE, newcomer)
    ending = Ended(EndReason.REPLACED, replaced_by=newcomer)
    assert await store.sessions.touch("session-1", 0, NOW + 2 * SECOND) == ending
    again = await store.sessions.end("session-1", SUBJECT, EndReason.LOGGED_OUT, NOW + 3 * SECOND)
    assert again == ending


async def test_a_login_with_a_used_ticket_replaces_no_session(store: Stores) -> None:
    lease = lease_of()
    await store.tickets.acquire(lease)
    await store.tickets.create_session(lease, make_session("session-a"), ONE)
    outcome = await store.tickets.create_session(lease, make_session("session-b"), ONE)
    assert outcome == AlreadyUsed(None)
    assert isinstance(await store.sessions.touch("session-a", 0, NOW), Active)


async def test_a_login_by_a_clock_that_is_ahead_ends_no_session_as_expired(store: Stores) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    for name, at in (("first", now), ("second", now + SECOND), ("ahead", now + 2 * IDLE)):
        session = make_session(name, created_at=at, expires_at=at + IDLE, device_type="ios")
        await keep(store, session, TWO)
    assert isinstance(await store.sessions.touch("second", 0, now), Active)
