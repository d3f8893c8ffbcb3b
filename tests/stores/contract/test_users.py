"""All of a user's sessions: listed, ended together, erased; and never those of another user."""

import pytest

from app.sessions.models import Ending
from app.sessions.ports import Active, Ended, Rotated, SessionStore, Unknown
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
async def store(store: SessionStore) -> SessionStore:
    """Three sessions of the user and one of another."""
    for name, hour in (("newest", 3), ("oldest", 1), ("middle", 2)):
        await keep(store, make_session(name, created_at=NOW + hour * HOUR))
    await keep(store, make_session("other", subject=OTHER))
    return store


LATER = NOW + 4 * HOUR


async def listed(store: SessionStore, subject: str = SUBJECT) -> list[str]:
    return [session.id for session in await store.sessions_of(subject, LATER)]


# --- listed ---


async def test_a_users_sessions_are_listed_oldest_first(store: SessionStore) -> None:
    assert await listed(store) == ["oldest", "middle", "newest"]
    assert await listed(store, OTHER) == ["other"]
    assert await listed(store, "nobody") == []


async def test_sessions_of_one_second_are_listed_as_they_were_kept(store: SessionStore) -> None:
    for name in ("z", "a", "m"):
        await keep(store, make_session(name, created_at=NOW, subject="user-c"))
    assert await listed(store, "user-c") == ["z", "a", "m"]


async def test_a_session_is_listed_as_it_stands(store: SessionStore) -> None:
    rotated = await store.rotate(rotation_of(0, session_id="other", at=LATER))
    assert isinstance(rotated, Rotated)
    assert list(await store.sessions_of(OTHER, LATER)) == [rotated.session]


async def test_a_session_that_is_over_is_not_listed(store: SessionStore) -> None:
    await store.end("middle", SUBJECT, Ending.LOGGED_OUT, LATER)
    assert await listed(store) == ["oldest", "newest"]
    assert [each.id for each in await store.sessions_of(SUBJECT, NOW + IDLE - SECOND)]
    assert list(await store.sessions_of(SUBJECT, NOW + IDLE)) == []


async def test_listing_closes_no_window(store: SessionStore) -> None:
    await store.rotate(rotation_of(0, session_id="other"))
    await listed(store, OTHER)
    again = await store.rotate(rotation_of(0, session_id="other"))
    assert not isinstance(again, Ended)
    assert isinstance(await store.see("other", 1, NOW), Active)


# --- ended one by one ---


async def test_a_user_cannot_end_the_session_of_another(store: SessionStore) -> None:
    assert await store.end("other", SUBJECT, Ending.REVOKED, LATER) == Unknown()
    assert isinstance(await store.see("other", 0, LATER), Active)


async def test_a_user_is_not_told_how_the_session_of_another_ended(store: SessionStore) -> None:
    await store.end("other", OTHER, Ending.LOGGED_OUT, LATER)
    assert await store.end("other", SUBJECT, Ending.REVOKED, LATER) == Unknown()


# --- ended together ---


async def test_all_sessions_of_a_user_end_together(store: SessionStore) -> None:
    assert await store.end_all(SUBJECT, Ending.KICKED, LATER) == ["oldest", "middle", "newest"]
    for name in ("oldest", "middle", "newest"):
        assert await store.see(name, 0, LATER) == Ended(Ending.KICKED)
        assert await store.rotate(rotation_of(0, session_id=name, at=LATER)) == Ended(Ending.KICKED)
    assert isinstance(await store.see("other", 0, LATER), Active)


async def test_all_sessions_but_one_end_together(store: SessionStore) -> None:
    ended = await store.end_all(SUBJECT, Ending.REVOKED, LATER, keep="middle")
    assert ended == ["oldest", "newest"]
    assert await listed(store) == ["middle"]


async def test_keeping_the_session_of_another_keeps_nothing(store: SessionStore) -> None:
    ended = await store.end_all(SUBJECT, Ending.REVOKED, LATER, keep="other")
    assert len(ended) == 3
    assert await listed(store, OTHER) == ["other"]


async def test_what_was_over_is_not_ended_again(store: SessionStore) -> None:
    await store.end("middle", SUBJECT, Ending.LOGGED_OUT, LATER)
    assert await store.end_all(SUBJECT, Ending.KICKED, LATER) == ["oldest", "newest"]
    assert await store.end_all(SUBJECT, Ending.KICKED, LATER) == []
    assert await store.see("middle", 0, LATER) == Ended(Ending.LOGGED_OUT)


async def test_what_had_expired_is_not_called_kicked(store: SessionStore) -> None:
    assert await store.end_all(SUBJECT, Ending.KICKED, NOW + IDLE) == []
    assert await store.see("oldest", 0, NOW + IDLE) == Ended(Ending.EXPIRED)


# --- erased ---


async def test_an_erased_users_sessions_end_and_say_so(store: SessionStore) -> None:
    assert await store.erase(SUBJECT, LATER) == ["oldest", "middle", "newest"]
    assert await store.see("oldest", 0, LATER) == Ended(Ending.ERASED)
    assert await listed(store, OTHER) == ["other"]


async def test_older_endings_of_an_erased_user_keep_their_names(store: SessionStore) -> None:
    await store.end("middle", SUBJECT, Ending.LOGGED_OUT, LATER)
    assert await store.erase(SUBJECT, NOW + IDLE) == []
    assert await store.see("oldest", 0, NOW + IDLE) == Ended(Ending.EXPIRED)
    assert await store.see("middle", 0, NOW + IDLE) == Ended(Ending.LOGGED_OUT)


async def test_nothing_tells_whose_an_erased_session_was(store: SessionStore) -> None:
    await store.end("middle", SUBJECT, Ending.LOGGED_OUT, LATER)
    await store.erase(SUBJECT, LATER)
    for name in ("oldest", "middle", "newest"):
        assert await store.end(name, SUBJECT, Ending.REVOKED, LATER) == Unknown()
    assert await listed(store) == []
    assert await store.erase(SUBJECT, LATER) == []


async def test_a_tombstone_without_a_user_is_told_for_its_seven_days_and_then_forgotten(
    store: SessionStore,
) -> None:
    await store.erase(OTHER, LATER)
    forgotten = LATER + 7 * DAY
    assert await store.purge(forgotten - SECOND) == 0
    assert await store.see("other", 0, forgotten - SECOND) == Ended(Ending.ERASED)
    assert await store.purge(forgotten) == 1
    assert await store.see("other", 0, forgotten) == Unknown()


async def test_who_was_erased_may_come_back(store: SessionStore) -> None:
    await store.erase(SUBJECT, LATER)
    await keep(store, make_session("again", created_at=LATER))
    assert await listed(store) == ["again"]
