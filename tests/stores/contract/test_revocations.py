"""The feed of ended sessions: each end once, in order, and from any cursor."""

from datetime import datetime, timedelta

import pytest

from app.sessions.models import EndReason, RevocationPage, epoch
from app.sessions.ports import Stores
from tests.stores.builders import ABSOLUTE, DAY, HOUR, IDLE, NOW, ONE, ONE_PER_TYPE, SECOND, SUBJECT
from tests.stores.steps import ENDS, Act, add, end, end_all, erase, purge, rotate, run

TTL = 600 * SECOND


async def feed(store: Stores, after: str = "", at: datetime = NOW) -> RevocationPage:
    return await store.sessions.revocations(after, at, TTL)


async def ids(store: Stores, after: str = "", at: datetime = NOW) -> list[str]:
    return [each["sid"] for _, each in (await feed(store, after, at)).revocations]


async def ended(store: Stores, *session_ids: str, at: datetime = NOW) -> None:
    for session_id in session_ids:
        await run(store, add(session_id), end(at=at, session_id=session_id))


@pytest.mark.parametrize(
    ("reason", "act"),
    [*ENDS.items(), (EndReason.REPLACED, add("session-b", ONE_PER_TYPE, device_type="ios"))],
)
async def test_an_end_is_in_the_feed_once(store: Stores, reason: EndReason, act: Act) -> None:
    await run(store, add(device_type="ios", generation=5), act, end(EndReason.REVOKED))
    page = await feed(store)
    user = {} if reason is EndReason.ERASED else {"sub": SUBJECT}
    times = {"ended_at": epoch(NOW), "expires_at": epoch(NOW + TTL)}
    expected = {"sid": "session-a", **user, "reason": reason, **times}
    assert page.revocations == [(page.cursor, expected)]
    assert not page.more


async def test_an_expiry_is_not_in_the_feed(store: Stores) -> None:
    later = NOW + IDLE
    await run(store, add(), rotate(0, later), add("session-b", ONE, created_at=later))
    assert await ids(store, at=later) == []


async def test_an_end_leaves_the_feed_when_the_last_access_token_has_expired(store: Stores) -> None:
    await ended(store, "session-a")
    await ended(store, "session-b", at=NOW + ABSOLUTE - 5 * SECOND)
    assert await ids(store, at=NOW + TTL - SECOND) == ["session-a", "session-b"]
    assert await ids(store, at=NOW + TTL) == ["session-b"]
    ((_, last),) = (await feed(store, at=NOW + ABSOLUTE - SECOND)).revocations
    assert last["expires_at"] == epoch(NOW + ABSOLUTE)
    assert await ids(store, at=NOW + ABSOLUTE) == []


async def test_a_cursor_returns_what_ended_after_it_in_order(store: Stores) -> None:
    empty = await feed(store)
    await ended(store, "session-a", "session-b", "session-c")
    first, second, third = [at for at, _ in (await feed(store, empty.cursor)).revocations]
    assert await ids(store, first) == ["session-b", "session-c"]
    assert await ids(store, second) == ["session-c"]
    assert await feed(store, third) == RevocationPage([], third, more=False)
    await ended(store, "session-d")
    assert await ids(store, third) == ["session-d"]


async def test_a_cursor_outlives_what_no_longer_matters(store: Stores) -> None:
    await ended(store, "session-a")
    behind = await feed(store, at=NOW + TTL)
    assert behind.revocations == []
    await ended(store, "session-b", at=NOW + TTL)
    assert await ids(store, behind.cursor, NOW) == ["session-b"]


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "0", "0.", ".", "-", "(1", "1.", "1.session-b", "2.session-a", "99.session-a"),
        *("0-0.", "1-1.session-a", "18446744073709551615-1.x", "9999999999999999999-0.session-a"),
        *("٣.session-a", "1.session-a\0", "x" * 2000, "9" * 400, "1; DROP TABLE events"),
    ],
)
async def test_an_unknown_cursor_returns_all_that_still_matters(store: Stores, cursor: str) -> None:
    await ended(store, "session-a", "session-b", at=NOW)
    assert await ids(store, cursor) == ["session-a", "session-b"]


async def test_a_cursor_of_another_session_at_the_same_place_is_unknown(store: Stores) -> None:
    await ended(store, "session-a", "session-b")
    cursor = (await feed(store)).cursor
    place, _, _ = cursor.partition(".")
    assert await ids(store, f"{place}.session-a") == ["session-a", "session-b"]
    assert await ids(store, cursor) == []


async def test_an_erasure_removes_the_user_from_earlier_events(store: Stores) -> None:
    await ended(store, "session-a", "session-b")
    await run(store, add("session-c"), add("session-d", subject="another"))
    await run(store, end(session_id="session-d", subject="another"), erase())
    told = {each["sid"]: each.get("sub") for _, each in (await feed(store)).revocations}
    assert told == {"session-a": None, "session-b": None, "session-c": None, "session-d": "another"}


async def test_ends_of_many_sessions_come_in_pages(store: Stores) -> None:
    names = [f"session-{number}" for number in range(1005)]
    await run(store, *map(add, names), end_all())
    first = await feed(store)
    assert (len(first.revocations), first.more) == (1000, True)
    rest = await feed(store, first.cursor)
    assert [each["sid"] for _, each in (*first.revocations, *rest.revocations)] == names
    assert not rest.more


@pytest.mark.parametrize("late", [HOUR, 8 * DAY])
async def test_a_purge_takes_no_end_that_still_matters(store: Stores, late: timedelta) -> None:
    await ended(store, "session-a")
    old = await feed(store)
    await ended(store, "session-b", at=NOW + late)
    await run(store, purge(NOW + late))
    assert await ids(store, old.cursor, NOW + late) == ["session-b"]
    assert await ids(store, "", NOW + late) == ["session-b"]
