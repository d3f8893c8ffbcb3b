"""How many sessions a user may have: who has to go, and that they are told for whom."""

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
ONE_PHONE = SessionLimits(max_per_user=0, one_per_device_type=True)
BOTH = SessionLimits(max_per_user=2, one_per_device_type=True)


async def log_in(
    store: Stores,
    number: int,
    limits: SessionLimits,
    device_type: str | None = None,
    subject: str = SUBJECT,
) -> list[str]:
    """Open session-{number} at second {number}; which sessions it replaced."""
    at = NOW + number * SECOND
    session = make_session(
        f"session-{number}", created_at=at, device_type=device_type, subject=subject
    )
    return await keep(store, session, limits)


async def living(store: Stores) -> list[str]:
    return [
        session.id for session in await store.sessions.active_sessions(SUBJECT, NOW + 100 * SECOND)
    ]


async def test_without_limits_a_user_may_have_any_number_of_sessions(store: Stores) -> None:
    for number in range(20):
        assert await log_in(store, number, UNLIMITED, "ios") == []
    assert len(await living(store)) == 20


async def test_the_oldest_session_goes_when_there_are_too_many(store: Stores) -> None:
    assert await log_in(store, 1, TWO) == []
    assert await log_in(store, 2, TWO) == []
    assert await log_in(store, 3, TWO) == ["session-1"]
    assert await living(store) == ["session-2", "session-3"]


async def test_a_limit_that_was_made_smaller_takes_the_oldest_first(store: Stores) -> None:
    for number in (3, 1, 4, 2):
        await log_in(store, number, UNLIMITED)
    assert await log_in(store, 5, TWO) == ["session-1", "session-2", "session-3"]
    assert await living(store) == ["session-4", "session-5"]


async def test_of_sessions_of_one_second_the_first_that_was_kept_is_the_oldest(
    store: Stores,
) -> None:
    replaced = [await keep(store, make_session(name), TWO) for name in ("z", "a", "m")]
    assert replaced == [[], [], ["z"]]


async def test_with_a_limit_of_one_only_the_newest_session_lives(store: Stores) -> None:
    for number in range(5):
        await log_in(store, number, ONE)
    assert await living(store) == ["session-4"]


async def test_a_session_that_is_over_counts_for_nothing(store: Stores) -> None:
    await log_in(store, 1, TWO)
    await log_in(store, 2, TWO)
    await store.sessions.end("session-2", SUBJECT, EndReason.LOGGED_OUT, NOW + 2 * SECOND)
    assert await log_in(store, 3, TWO) == []
    later = NOW + IDLE + 3 * SECOND
    await keep(store, make_session("later", created_at=later, expires_at=later + IDLE), TWO)
    assert await store.sessions.touch("session-1", 0, later) == Ended(EndReason.EXPIRED)


async def test_a_user_takes_no_room_from_another(store: Stores) -> None:
    for number in (1, 2):
        await log_in(store, number, BOTH, "ios", subject=f"user-{number}")
    assert await log_in(store, 3, BOTH, "ios") == []


async def test_a_second_phone_of_a_type_replaces_the_first(store: Stores) -> None:
    await log_in(store, 1, ONE_PHONE, "ios")
    await log_in(store, 2, ONE_PHONE, "android")
    assert await log_in(store, 3, ONE_PHONE, "ios") == ["session-1"]
    assert await living(store) == ["session-2", "session-3"]


async def test_phones_that_do_not_say_what_they_are_replace_nobody(store: Stores) -> None:
    for number, device_type in enumerate([None, "ios", None]):
        assert await log_in(store, number, ONE_PHONE, device_type) == []


async def test_without_the_limit_phones_of_a_type_live_side_by_side(store: Stores) -> None:
    await log_in(store, 1, TWO, "ios")
    assert await log_in(store, 2, TWO, "ios") == []


async def test_under_both_limits_the_same_type_goes_first_and_then_the_oldest(
    store: Stores,
) -> None:
    await log_in(store, 1, BOTH, "android")
    await log_in(store, 2, BOTH, "ios")
    assert await log_in(store, 3, BOTH, "ios") == ["session-2"]
    assert await log_in(store, 4, BOTH) == ["session-1"]
    assert await living(store) == ["session-3", "session-4"]


async def test_under_both_limits_a_surplus_goes_together_with_the_same_type(
    store: Stores,
) -> None:
    for number, device_type in enumerate(["android", "ios", None, "ios"]):
        await log_in(store, number, UNLIMITED, device_type)
    replaced = await log_in(store, 4, BOTH, "ios")
    assert sorted(replaced) == ["session-0", "session-1", "session-3"]
    assert await living(store) == ["session-2", "session-4"]


@pytest.mark.parametrize("newcomer", ["ios", None])
async def test_who_was_replaced_is_told_by_what(store: Stores, newcomer: str | None) -> None:
    await log_in(store, 1, ONE, "android")
    await log_in(store, 2, ONE, newcomer)
    ending = Ended(EndReason.REPLACED, replaced_by=newcomer)
    assert await store.sessions.touch("session-1", 0, NOW + 2 * SECOND) == ending
    again = await store.sessions.end("session-1", SUBJECT, EndReason.LOGGED_OUT, NOW + 3 * SECOND)
    assert again == ending


async def test_a_login_that_was_redeemed_by_another_replaces_nobody(store: Stores) -> None:
    claim = lease_of()
    await store.tickets.acquire(claim)
    await store.tickets.create_session(claim, make_session("session-a"), ONE)
    outcome = await store.tickets.create_session(claim, make_session("session-b"), ONE)
    assert outcome == AlreadyUsed(None)
    assert isinstance(await store.sessions.touch("session-a", 0, NOW), Active)
