"""All sessions of a user are listed, ended and erased together, without those of other users."""

from dataclasses import replace

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, Ended, Unknown
from app.sessions.ports import SessionLimits, Stores
from tests.stores.builders import (
    DAY,
    HOUR,
    IDLE,
    NOW,
    SECOND,
    SUBJECT,
    keep,
    make_session,
    rotation_of,
)

OTHER = "5e00000000000000000000bb"


@pytest.fixture
async def store(store: Stores) -> Stores:
    """Three sessions of the user and one of another."""
    for name, hour in (("newest", 3), ("oldest", 1), ("middle", 2)):
        await keep(store, make_session(name, created_at=NOW + hour * HOUR))
    await keep(store, make_session("other", subject=OTHER))
    return store


LATER = NOW + 4 * HOUR


async def listed(store: Stores, subject: str = SUBJECT) -> list[str]:
    return [session.id for session in await store.sessions.active_sessions(subject, LATER)]


# --- listed ---


async def test_a_users_sessions_are_listed_oldest_first(store: Stores) -> None:
    assert await listed(store) == ["oldest", "middle", "newest"]
    assert await listed(store, OTHER) == ["other"]
    assert await listed(store, "unknown") == []


async def test_sessions_of_one_second_are_listed_in_the_order_of_writing(store: Stores) -> None:
    for name in ("z", "a", "m"):
        await keep(store, make_session(name, created_at=NOW, subject="user-c"))
    assert await listed(store, "user-c") == ["z", "a", "m"]


async def test_a_session_that_is_over_is_not_listed(store: Stores) -> None:
    await store.sessions.end("middle", SUBJECT, EndReason.LOGGED_OUT, LATER)
    assert await listed(store) == ["oldest", "newest"]
    assert [each.id for each in await store.sessions.active_sessions(SUBJECT, NOW + IDLE - SECOND)]
    assert list(await store.sessions.active_sessions(SUBJECT, NOW + IDLE)) == []


async def test_listing_closes_no_window(store: Stores) -> None:
    await store.sessions.rotate(rotation_of(0, session_id="other"))
    await listed(store, OTHER)
    again = await store.sessions.rotate(rotation_of(0, session_id="other"))
    assert not isinstance(again, Ended)
    assert isinstance(await store.sessions.touch("other", 1, NOW), Active)


# --- ended one by one ---


async def test_a_user_cannot_end_the_session_of_another(store: Stores) -> None:
    assert await store.sessions.end("other", SUBJECT, EndReason.REVOKED, LATER) == Unknown()
    assert isinstance(await store.sessions.touch("other", 0, LATER), Active)


async def test_a_user_is_not_told_how_the_session_of_another_ended(store: Stores) -> None:
    await store.sessions.end("other", OTHER, EndReason.LOGGED_OUT, LATER)
    assert await store.sessions.end("other", SUBJECT, EndReason.REVOKED, LATER) == Unknown()


async def test_a_session_ends_without_its_user_being_named(store: Stores) -> None:
    ended = Ended(EndReason.REVOKED)
    assert await store.sessions.end("other", None, EndReason.REVOKED, LATER) == replace(
        ended, changed=True
    )
    assert await store.sessions.end("other", None, EndReason.LOGGED_OUT, LATER) == ended
    assert await listed(store, OTHER) == []
    assert await store.sessions.end("nothing", None, EndReason.REVOKED, LATER) == Unknown()


# --- ended together ---


async def test_all_sessions_of_a_user_end_together(store: Stores) -> None:
    assert await store.sessions.end_all(SUBJECT, EndReason.KICKED, LATER) == [
        "oldest",
        "middle",
        "newest",
    ]
    for name in ("oldest", "middle", "newest"):
        assert await store.sessions.touch(name, 0, LATER) == Ended(EndReason.KICKED)
        assert await store.sessions.rotate(rotation_of(0, session_id=name, at=LATER)) == Ended(
            EndReason.KICKED
        )
    assert isinstance(await store.sessions.touch("other", 0, LATER), Active)


async def test_all_sessions_but_one_end_together(store: Stores) -> None:
    ended = await store.sessions.end_all(SUBJECT, EndReason.REVOKED, LATER, keep="middle")
    assert ended == ["oldest", "newest"]
    assert await listed(store) == ["middle"]


async def test_keeping_the_session_of_another_keeps_nothing(store: Stores) -> None:
    ended = await store.sessions.end_all(SUBJECT, EndReason.REVOKED, LATER, keep="other")
    assert len(ended) == 3
    assert await listed(store, OTHER) == ["other"]


async def test_ended_sessions_are_not_ended_again(store: Stores) -> None:
    await store.sessions.end("middle", SUBJECT, EndReason.LOGGED_OUT, LATER)
    assert await store.sessions.end_all(SUBJECT, EndReason.KICKED, LATER) == ["oldest", "newest"]
    assert await store.sessions.end_all(SUBJECT, EndReason.KICKED, LATER) == []
    assert await store.sessions.touch("middle", 0, LATER) == Ended(EndReason.LOGGED_OUT)


# --- erased ---


async def test_the_sessions_of_an_erased_user_end_as_erased(store: Stores) -> None:
    assert await store.sessions.erase(SUBJECT, LATER) == ["oldest", "middle", "newest"]
    assert await store.sessions.touch("oldest", 0, LATER) == Ended(EndReason.ERASED)
    assert await listed(store, OTHER) == ["other"]


async def test_older_end_reasons_of_an_erased_user_stay(store: Stores) -> None:
    await store.sessions.end("middle", SUBJECT, EndReason.LOGGED_OUT, LATER)
    assert await store.sessions.erase(SUBJECT, LATER) == ["oldest", "newest"]
    assert await store.sessions.touch("middle", 0, LATER) == Ended(EndReason.LOGGED_OUT)


async def test_a_replaced_session_of_an_erased_user_names_no_device(store: Stores) -> None:
    one = SessionLimits(max_per_user=1, one_per_device_type=False)
    await keep(store, make_session("newcomer", created_at=LATER, device_type="ios"), one)
    await store.sessions.erase(SUBJECT, LATER)
    assert await store.sessions.touch("oldest", 0, LATER) == Ended(EndReason.REPLACED, None)


async def test_an_erased_session_belongs_to_no_user(store: Stores) -> None:
    await store.sessions.end("middle", SUBJECT, EndReason.LOGGED_OUT, LATER)
    await store.sessions.erase(SUBJECT, LATER)
    for name in ("oldest", "middle", "newest"):
        assert await store.sessions.end(name, SUBJECT, EndReason.REVOKED, LATER) == Unknown()
    assert await listed(store) == []
    assert await store.sessions.erase(SUBJECT, LATER) == []


async def test_a_tombstone_without_a_user_stays_for_seven_days(store: Stores) -> None:
    await store.sessions.erase(OTHER, LATER)
    forgotten = LATER + 7 * DAY
    assert await store.maintenance.purge(forgotten - SECOND) == 0
    assert await store.sessions.touch("other", 0, forgotten - SECOND) == Ended(EndReason.ERASED)
    assert await store.maintenance.purge(forgotten) == 1
    assert await store.sessions.touch("other", 0, forgotten) == Unknown()


async def test_an_erased_user_can_log_in_again(store: Stores) -> None:
    await store.sessions.erase(SUBJECT, LATER)
    await keep(store, make_session("again", created_at=LATER))
    assert await listed(store) == ["again"]
