"""Bans: they end sessions and refuse logins, up to the second of their end."""

from datetime import datetime

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Acquired, Active, AlreadyUsed, Banned, Ended, Opened, Unknown
from app.sessions.ports import MAX_LISTED_BANS, SessionLimits, Stores
from tests.stores.builders import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    SUBJECT,
    UNLIMITED,
    ban_of,
    keep,
    lease_of,
    make_session,
    rotation_of,
)

UNTIL = NOW + HOUR


async def log_in(store: Stores, at: datetime = NOW) -> object:
    lease = lease_of(f"ticket of {at}", at=at)
    await store.tickets.acquire(lease)
    return await store.tickets.create_session(
        lease, make_session(f"session at {at}", created_at=at), UNLIMITED
    )


@pytest.mark.parametrize("until", [None, UNTIL])
async def test_a_ban_ends_the_users_sessions_in_the_same_step(
    store: Stores, until: datetime | None
) -> None:
    for name in ("session-a", "session-b"):
        await keep(store, make_session(name))
    await keep(store, make_session("other", subject="other"))
    assert await store.bans.put(ban_of(until=until)) == ["session-a", "session-b"]
    assert await store.sessions.touch("session-a", 0, NOW) == Ended(EndReason.BANNED)
    assert await store.sessions.rotate(rotation_of(0)) == Ended(EndReason.BANNED)
    assert isinstance(await store.sessions.touch("other", 0, NOW), Active)


@pytest.mark.parametrize("until", [None, UNTIL])
async def test_a_banned_user_gets_no_session_and_is_told_until_when(
    store: Stores, until: datetime | None
) -> None:
    await store.bans.put(ban_of(until=until))
    assert await log_in(store) == Banned(until)
    assert list(await store.sessions.active_sessions(SUBJECT, NOW)) == []
    assert await store.sessions.touch(f"session at {NOW}", 0, NOW) == Unknown()


async def test_a_ban_at_login_releases_the_lease(store: Stores) -> None:
    await store.bans.put(ban_of())
    await log_in(store)
    assert (
        await store.tickets.acquire(lease_of(f"ticket of {NOW}", holder="holder-b")) == Acquired()
    )


async def test_a_ban_at_login_does_not_release_the_lease_of_another_holder(store: Stores) -> None:
    slow, successor = lease_of(), lease_of(holder="holder-b", at=NOW + HOUR)
    await store.bans.put(ban_of())
    await store.tickets.acquire(slow)
    await store.tickets.acquire(successor)
    assert await store.tickets.create_session(slow, make_session(), UNLIMITED) == Banned(None)
    third = lease_of(holder="holder-c", at=NOW + HOUR)
    assert await store.tickets.acquire(third) != Acquired()


async def test_a_login_refused_by_a_ban_replaces_no_session(store: Stores) -> None:
    await store.bans.put(ban_of(until=NOW + SECOND))
    await log_in(store, NOW + SECOND)
    await store.bans.lift(SUBJECT, NOW)
    outcome = await store.tickets.create_session(
        lease_of(),
        make_session(subject="other"),
        SessionLimits(max_per_user=1, one_per_device_type=True),
    )
    assert outcome == Opened([])
    assert len(await store.sessions.active_sessions(SUBJECT, NOW + SECOND)) == 1


async def test_a_ban_is_over_at_the_second_of_its_end(store: Stores) -> None:
    ban = ban_of(until=UNTIL)
    await store.bans.put(ban)
    assert await store.bans.find(SUBJECT, UNTIL - SECOND) == ban
    assert await log_in(store, UNTIL - SECOND) == Banned(UNTIL)
    assert await store.bans.find(SUBJECT, UNTIL) is None
    assert await log_in(store, UNTIL) == Opened([])


async def test_a_ban_without_end_stays(store: Stores) -> None:
    await store.bans.put(ban_of())
    assert await store.bans.find(SUBJECT, NOW + 10_000 * DAY) == ban_of()


async def test_a_ban_can_be_changed(store: Stores) -> None:
    await store.bans.put(ban_of(until=UNTIL))
    changed = ban_of(at=NOW + SECOND, reason="fraud")
    assert await store.bans.put(changed) == []
    assert await store.bans.find(SUBJECT, UNTIL) == changed


async def test_bans_in_force_are_listed_those_that_last_longest_first(store: Stores) -> None:
    bans = [
        ban_of("user-c"),
        ban_of("user-b"),
        ban_of("user-a", until=UNTIL),
        ban_of("user-d", until=UNTIL - SECOND),
    ]
    for ban in (bans[2], bans[0], bans[3], bans[1]):
        await store.bans.put(ban)
    assert list(await store.bans.list_bans(NOW)) == bans
    assert list(await store.bans.list_bans(UNTIL - SECOND)) == bans[:3]
    assert list(await store.bans.list_bans(UNTIL)) == bans[:2]


async def test_a_changed_ban_is_listed_once_and_a_lifted_one_is_not_listed(store: Stores) -> None:
    await store.bans.put(ban_of())
    await store.bans.put(changed := ban_of(until=UNTIL, reason="fraud"))
    await store.bans.put(ban_of("other"))
    await store.bans.lift("other", NOW)
    assert list(await store.bans.list_bans(NOW)) == [changed]


async def test_an_erased_user_with_a_ban_in_force_stays_listed(store: Stores) -> None:
    await store.bans.put(ban_of(until=UNTIL))
    await store.sessions.erase(SUBJECT, NOW)
    assert list(await store.bans.list_bans(NOW)) == [ban_of(until=UNTIL)]
    await store.sessions.erase(SUBJECT, UNTIL)
    assert list(await store.bans.list_bans(NOW)) == []


async def test_a_list_of_bans_is_bounded(store: Stores) -> None:
    for number in range(MAX_LISTED_BANS + 1):
        await store.bans.put(ban_of(f"user-{number:04}"))
    listed = await store.bans.list_bans(NOW)
    assert [ban.subject for ban in listed[:2]] == [f"user-{MAX_LISTED_BANS}", "user-0999"]
    assert len(listed) == MAX_LISTED_BANS


async def test_a_lifted_ban_lets_the_user_in_but_brings_no_session_back(store: Stores) -> None:
    await keep(store, make_session())
    await store.bans.put(ban_of())
    await store.bans.lift(SUBJECT, NOW)
    assert await store.bans.find(SUBJECT, NOW) is None
    assert await store.sessions.touch("session-a", 0, NOW) == Ended(EndReason.BANNED)
    assert await log_in(store) == Opened([])


async def test_lifting_a_ban_that_does_not_exist_is_allowed(store: Stores) -> None:
    await store.bans.put(ban_of("other"))
    await store.bans.lift(SUBJECT, NOW)
    assert await store.bans.find("other", NOW) == ban_of("other")


async def test_a_ban_does_not_change_an_earlier_end_reason(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.end("session-a", SUBJECT, EndReason.LOGGED_OUT, NOW)
    assert await store.bans.put(ban_of()) == []
    assert await store.sessions.touch("session-a", 0, NOW) == Ended(EndReason.LOGGED_OUT)


async def test_a_retry_of_a_banned_user_gets_no_session(store: Stores) -> None:
    lease = lease_of(key="key-a")
    await store.tickets.acquire(lease)
    await store.tickets.create_session(lease, make_session(), UNLIMITED)
    await store.bans.put(ban_of())
    assert await store.tickets.acquire(lease_of(key="key-a", holder="holder-b")) == AlreadyUsed(
        None
    )


async def test_erasing_a_user_does_not_lift_the_ban(store: Stores) -> None:
    await store.bans.put(ban_of())
    await store.sessions.erase(SUBJECT, NOW)
    assert await log_in(store) == Banned(None)


async def test_erasing_a_user_forgets_a_ban_that_is_over(store: Stores) -> None:
    await store.bans.put(ban_of(until=UNTIL))
    await store.bans.put(ban_of("other", until=UNTIL))
    await store.sessions.erase(SUBJECT, UNTIL)
    assert await store.maintenance.purge(UNTIL) == 1  # the other's


async def test_a_purge_deletes_only_bans_that_are_over(store: Stores) -> None:
    await store.bans.put(ban_of("user-a", until=UNTIL))
    await store.bans.put(ban_of("user-b", until=UNTIL + SECOND))
    await store.bans.put(ban_of("user-c"))
    assert await store.maintenance.purge(UNTIL - SECOND) == 0
    assert await store.maintenance.purge(UNTIL) == 1
    assert await store.bans.find("user-b", UNTIL) is not None
    assert await store.bans.find("user-c", UNTIL) is not None
