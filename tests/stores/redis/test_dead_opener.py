"""A login whose instance died after the ticket had become a session and before that was kept.

The pieces of `open` are called one by one here, and the opener dies between them.
"""

from dataclasses import replace

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import (
    Acquired,
    Active,
    AlreadyUsed,
    Banned,
    Ended,
    Held,
    Opened,
    Rotated,
    Unknown,
)
from app.sessions.ports import SessionLimits
from app.sessions.refresh_tokens import new_session_id
from app.stores.redis import RedisStore, claims, scripts, sessions
from app.stores.redis.codec import pack
from tests.stores.builders import (
    LEASE,
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
from tests.stores.redis.opening import SESSION
from tests.support.valkey.servers import Server

MINE = lease_of(key="key-a")
RETRY = lease_of(key="key-a", holder="holder-b", at=NOW + SECOND)
SESSION_OF_MINE = make_session(SESSION, device_type="ios", encrypted_profile=bytes(range(256)))
LATER = NOW + LEASE


async def die_after_redeeming(
    store: RedisStore, *, kept: bool = False, limits: SessionLimits = UNLIMITED
) -> None:
    """What `open` does, up to where the session is `kept` or not."""
    assert await store.tickets.acquire(MINE) == Acquired()
    key, words = claims._key(MINE), claims._words(MINE)
    pending = pack(SESSION_OF_MINE, limits)
    sent = (*words, SESSION, pending)
    assert await store._engine.run(scripts.REDEEM, [key], NOW, *sent) == [b"ours"]
    if kept:
        assert isinstance(await sessions.add(store._engine, SESSION_OF_MINE, limits), Opened)


@pytest.mark.parametrize("kept", [False, True])
async def test_who_comes_with_the_same_key_gets_the_session(
    other: RedisStore,
    valkey: Server,
    kept: bool,  # noqa: FBT001  # pytest names it
) -> None:
    await die_after_redeeming(other, kept=kept)
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(SESSION_OF_MINE)
    assert await other.sessions.touch(SESSION, 0, NOW) == Active(SESSION_OF_MINE)
    assert list(await other.sessions.active_sessions(SUBJECT, NOW)) == [SESSION_OF_MINE]
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(SESSION_OF_MINE)
    assert valkey.cli("HEXISTS", claims._key(MINE), "pending") == 0


@pytest.mark.parametrize("key", [None, "key-b"])
async def test_who_comes_without_it_is_told_nothing_and_finishes_nothing(
    other: RedisStore, key: str | None
) -> None:
    await die_after_redeeming(other)
    for at in (NOW, LATER):
        stranger = lease_of(key=key, holder="stranger", at=at)
        assert await other.tickets.acquire(stranger) == AlreadyUsed(None)
        stolen = make_session(new_session_id(), subject="thief")
        assert await other.tickets.create_session(stranger, stolen, UNLIMITED) == AlreadyUsed(None)
    assert await other.sessions.touch(SESSION, 0, NOW) == Unknown()
    assert list(await other.sessions.active_sessions("thief", NOW)) == []


async def test_an_heir_who_exchanged_the_ticket_too_makes_no_second_session(
    other: RedisStore,
) -> None:
    heir = replace(RETRY, now=LATER, lease_ends_at=LATER + LEASE)
    await die_after_redeeming(other)
    second = make_session(new_session_id())
    assert await other.tickets.create_session(heir, second, UNLIMITED) == AlreadyUsed(
        SESSION_OF_MINE
    )
    assert list(await other.sessions.active_sessions(SUBJECT, NOW)) == [SESSION_OF_MINE]


async def test_what_the_session_replaces_goes_when_it_is_finished(other: RedisStore) -> None:
    limits = SessionLimits(max_per_user=1, one_per_device_type=True)
    before = new_session_id()
    await keep(other, make_session(before, device_type="ios"))
    await die_after_redeeming(other, limits=limits)
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(SESSION_OF_MINE)
    assert await other.sessions.touch(before, 0, NOW) == Ended(
        EndReason.REPLACED, replaced_by="ios"
    )


async def test_a_slow_opener_that_was_not_dead_agrees_with_who_finished_for_it(
    other: RedisStore,
) -> None:
    await die_after_redeeming(other)
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(SESSION_OF_MINE)
    assert isinstance(await other.sessions.rotate(rotation_of(0, session_id=SESSION)), Rotated)
    assert await other.tickets.create_session(MINE, SESSION_OF_MINE, UNLIMITED) == Opened([])
    assert isinstance(await other.sessions.rotate(rotation_of(1, session_id=SESSION)), Rotated)


async def test_a_slow_opener_does_not_bring_back_what_has_ended(other: RedisStore) -> None:
    await die_after_redeeming(other)
    await other.tickets.acquire(RETRY)
    await other.sessions.end(SESSION, SUBJECT, EndReason.LOGGED_OUT, NOW)
    await other.tickets.create_session(MINE, SESSION_OF_MINE, UNLIMITED)
    assert await other.sessions.touch(SESSION, 0, NOW) == Ended(EndReason.LOGGED_OUT)


async def test_a_user_who_was_banned_meanwhile_gets_none_and_the_ticket_is_free_again(
    other: RedisStore,
) -> None:
    await die_after_redeeming(other)
    await other.bans.put(ban_of())
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(None)
    assert await other.sessions.touch(SESSION, 0, NOW) == Unknown()
    held = lease_of(key="key-a", holder="holder-c")
    assert await other.tickets.acquire(held) == Held(LATER)
    third = lease_of(key="key-a", holder="holder-c", at=LATER)
    assert await other.tickets.acquire(third) == Acquired()
    assert await other.tickets.create_session(third, SESSION_OF_MINE, UNLIMITED) == Banned(None)


async def test_a_user_who_was_erased_meanwhile_signs_in_anew_as_after_any_erasure(
    other: RedisStore,
) -> None:
    await die_after_redeeming(other)
    assert await other.sessions.erase(SUBJECT, NOW) == []
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(SESSION_OF_MINE)


async def test_a_session_that_was_kept_and_erased_is_not_opened_again(other: RedisStore) -> None:
    await die_after_redeeming(other, kept=True)
    assert await other.sessions.erase(SUBJECT, NOW) == [SESSION]
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(None)
    assert await other.sessions.touch(SESSION, 0, NOW) == Ended(EndReason.ERASED)
    assert list(await other.sessions.active_sessions(SUBJECT, NOW)) == []


async def test_a_ban_that_is_lifted_in_between_takes_no_session_from_who_has_it(
    other: RedisStore,
) -> None:
    await die_after_redeeming(other)
    await other.bans.put(ban_of())
    assert isinstance(await sessions.add(other._engine, SESSION_OF_MINE, UNLIMITED), Banned)
    await other.bans.lift(SUBJECT)
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(SESSION_OF_MINE)
    words = (MINE.holder, SESSION)  # only now does the first one take its redeeming back
    await other._engine.run(scripts.UNREDEEM, [claims._key(MINE)], NOW, *words)
    assert await other.tickets.acquire(RETRY) == AlreadyUsed(SESSION_OF_MINE)
