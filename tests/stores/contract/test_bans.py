"""Users who may not have sessions: from the very step of the ban to the very second of its end."""

from datetime import datetime

import pytest

from app.sessions.models import Ending
from app.sessions.ports import (
    Active,
    Banned,
    Claimed,
    Ended,
    Opened,
    Redeemed,
    SessionLimits,
    SessionStore,
    Unknown,
)
from tests.stores.builders import (
    DAY,
    HOUR,
    IDLE,
    NOW,
    SECOND,
    SUBJECT,
    UNLIMITED,
    ban_of,
    claim_of,
    keep,
    make_session,
    rotation_of,
)

UNTIL = NOW + HOUR


async def log_in(store: SessionStore, at: datetime = NOW) -> object:
    claim = claim_of(f"ticket of {at}", at=at)
    await store.claim(claim)
    return await store.open(claim, make_session(f"session at {at}", created_at=at), UNLIMITED)


@pytest.mark.parametrize("until", [None, UNTIL])
async def test_a_ban_ends_the_users_sessions_in_the_same_step(
    store: SessionStore, until: datetime | None
) -> None:
    for name in ("session-a", "session-b"):
        await keep(store, make_session(name))
    await keep(store, make_session("other", subject="other"))
    assert await store.ban(ban_of(until=until)) == ["session-a", "session-b"]
    assert await store.see("session-a", 0, NOW) == Ended(Ending.BANNED)
    assert await store.rotate(rotation_of(0)) == Ended(Ending.BANNED)
    assert isinstance(await store.see("other", 0, NOW), Active)


@pytest.mark.parametrize("until", [None, UNTIL])
async def test_a_banned_user_gets_no_session_and_is_told_until_when(
    store: SessionStore, until: datetime | None
) -> None:
    await store.ban(ban_of(until=until))
    assert await log_in(store) == Banned(until)
    assert list(await store.sessions_of(SUBJECT, NOW)) == []
    assert await store.see(f"session at {NOW}", 0, NOW) == Unknown()


async def test_a_ban_that_is_met_releases_the_claim(store: SessionStore) -> None:
    await store.ban(ban_of())
    await log_in(store)
    assert await store.claim(claim_of(f"ticket of {NOW}", holder="holder-b")) == Claimed()


async def test_a_ban_that_is_met_does_not_release_the_claim_of_another(
    store: SessionStore,
) -> None:
    slow, heir = claim_of(), claim_of(holder="holder-b", at=NOW + HOUR)
    await store.ban(ban_of())
    await store.claim(slow)
    await store.claim(heir)
    assert await store.open(slow, make_session(), UNLIMITED) == Banned(None)
    third = claim_of(holder="holder-c", at=NOW + HOUR)
    assert await store.claim(third) != Claimed()


async def test_a_ban_replaces_nobody(store: SessionStore) -> None:
    await store.ban(ban_of(until=NOW + SECOND))
    await log_in(store, NOW + SECOND)
    await store.lift_ban(SUBJECT)
    outcome = await store.open(
        claim_of(),
        make_session(subject="other"),
        SessionLimits(max_per_user=1, one_per_device_type=True),
    )
    assert outcome == Opened([])
    assert len(await store.sessions_of(SUBJECT, NOW + SECOND)) == 1


async def test_a_ban_is_over_at_the_very_second_of_its_end(store: SessionStore) -> None:
    ban = ban_of(until=UNTIL)
    await store.ban(ban)
    assert await store.find_ban(SUBJECT, UNTIL - SECOND) == ban
    assert await log_in(store, UNTIL - SECOND) == Banned(UNTIL)
    assert await store.find_ban(SUBJECT, UNTIL) is None
    assert await log_in(store, UNTIL) == Opened([])


async def test_a_ban_without_end_stays(store: SessionStore) -> None:
    await store.ban(ban_of())
    assert await store.find_ban(SUBJECT, NOW + 10_000 * DAY) == ban_of()


async def test_who_is_not_banned_has_no_ban(store: SessionStore) -> None:
    await store.ban(ban_of("other"))
    assert await store.find_ban(SUBJECT, NOW) is None
    assert await log_in(store) == Opened([])


async def test_a_ban_can_be_changed(store: SessionStore) -> None:
    await store.ban(ban_of(until=UNTIL))
    changed = ban_of(at=NOW + SECOND, reason="fraud")
    assert await store.ban(changed) == []
    assert await store.find_ban(SUBJECT, UNTIL) == changed


async def test_a_lifted_ban_lets_the_user_in_but_brings_no_session_back(
    store: SessionStore,
) -> None:
    await keep(store, make_session())
    await store.ban(ban_of())
    await store.lift_ban(SUBJECT)
    assert await store.find_ban(SUBJECT, NOW) is None
    assert await store.see("session-a", 0, NOW) == Ended(Ending.BANNED)
    assert await log_in(store) == Opened([])


async def test_lifting_no_ban_is_no_error(store: SessionStore) -> None:
    await store.ban(ban_of("other"))
    await store.lift_ban(SUBJECT)
    assert await store.find_ban("other", NOW) == ban_of("other")


async def test_a_ban_does_not_rename_what_was_over(store: SessionStore) -> None:
    await keep(store, make_session())
    assert await store.ban(ban_of(at=NOW + IDLE)) == []
    assert await store.see("session-a", 0, NOW + IDLE) == Ended(Ending.EXPIRED)


async def test_the_session_of_a_banned_user_is_not_told_to_a_retry(store: SessionStore) -> None:
    claim = claim_of(key="key-a")
    await store.claim(claim)
    await store.open(claim, make_session(), UNLIMITED)
    await store.ban(ban_of())
    assert await store.claim(claim_of(key="key-a", holder="holder-b")) == Redeemed(None)


async def test_erasing_a_user_does_not_lift_the_ban(store: SessionStore) -> None:
    await store.ban(ban_of())
    await store.erase(SUBJECT, NOW)
    assert await log_in(store) == Banned(None)


async def test_erasing_a_user_forgets_a_ban_that_is_over(store: SessionStore) -> None:
    await store.ban(ban_of(until=UNTIL))
    await store.ban(ban_of("other", until=UNTIL))
    await store.erase(SUBJECT, UNTIL)
    assert await store.purge(UNTIL) == 1  # the other's


async def test_a_purge_takes_the_bans_that_are_over_and_no_others(store: SessionStore) -> None:
    await store.ban(ban_of("user-a", until=UNTIL))
    await store.ban(ban_of("user-b", until=UNTIL + SECOND))
    await store.ban(ban_of("user-c"))
    assert await store.purge(UNTIL - SECOND) == 0
    assert await store.purge(UNTIL) == 1
    assert await store.find_ban("user-b", UNTIL) is not None
    assert await store.find_ban("user-c", UNTIL) is not None
