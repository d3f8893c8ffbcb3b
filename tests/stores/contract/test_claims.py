"""A ticket in the hands of logins: one holder at a time, one session, and no way round that."""

from dataclasses import replace

import pytest

from app.sessions.models import Ending
from app.sessions.ports import (
    Active,
    Claim,
    Claimed,
    ClaimHeld,
    KeyTaken,
    Opened,
    Redeemed,
    SessionStore,
    Unknown,
)
from tests.stores.builders import (
    DAY,
    IDLE,
    LEASE,
    NOW,
    SECOND,
    SUBJECT,
    TICKET_LIFE,
    UNLIMITED,
    claim_of,
    make_session,
    rotation_of,
)

RETRY = claim_of(key="key-a", holder="holder-b", at=NOW + SECOND)


async def redeem(store: SessionStore, claim: Claim, session_id: str = "session-a") -> None:
    assert await store.claim(claim) == Claimed()
    assert await store.open(claim, make_session(session_id), UNLIMITED) == Opened([])


# --- taken and held ---


async def test_a_ticket_that_nobody_holds_can_be_claimed(store: SessionStore) -> None:
    assert await store.claim(claim_of("ticket-a")) == Claimed()
    assert await store.claim(claim_of("ticket-b", holder="holder-b")) == Claimed()


@pytest.mark.parametrize("key", [None, "key-a", "key-b"])
async def test_a_ticket_that_is_held_can_be_claimed_by_nobody_else(
    store: SessionStore, key: str | None
) -> None:
    await store.claim(claim_of(key="key-a"))
    later = claim_of(key=key, holder="holder-b", at=NOW + LEASE - SECOND)
    assert await store.claim(later) == ClaimHeld(NOW + LEASE)


async def test_a_refused_claim_does_not_make_the_lease_longer(store: SessionStore) -> None:
    await store.claim(claim_of())
    await store.claim(claim_of(holder="holder-b", at=NOW + LEASE - SECOND))
    assert await store.claim(claim_of(holder="holder-c", at=NOW + LEASE)) == Claimed()


async def test_a_ticket_is_taken_over_at_the_very_second_at_which_the_lease_ends(
    store: SessionStore,
) -> None:
    await store.claim(claim_of())
    heir = claim_of(holder="holder-b", at=NOW + LEASE)
    assert await store.claim(heir) == Claimed()
    third = claim_of(holder="holder-c", at=NOW + LEASE + SECOND)
    assert await store.claim(third) == ClaimHeld(NOW + 2 * LEASE)


# --- released ---


async def test_a_released_ticket_can_be_claimed_at_once(store: SessionStore) -> None:
    await store.claim(claim_of(key="key-a"))
    await store.release(claim_of(key="key-a"))
    assert await store.claim(claim_of(key="key-b", holder="holder-b")) == Claimed()


async def test_a_released_ticket_sets_its_key_free(store: SessionStore) -> None:
    await store.claim(claim_of("ticket-a", key="key-a"))
    await store.release(claim_of("ticket-a", key="key-a"))
    assert await store.claim(claim_of("ticket-b", key="key-a")) == Claimed()


async def test_who_was_taken_over_cannot_release_the_claim_of_the_heir(
    store: SessionStore,
) -> None:
    slow = claim_of()
    await store.claim(slow)
    await store.claim(claim_of(holder="holder-b", at=NOW + LEASE))
    await store.release(slow)
    third = claim_of(holder="holder-c", at=NOW + LEASE)
    assert await store.claim(third) == ClaimHeld(NOW + 2 * LEASE)


async def test_a_ticket_that_became_a_session_cannot_be_released(store: SessionStore) -> None:
    claim = claim_of(key="key-a")
    await redeem(store, claim)
    await store.release(claim)
    assert await store.claim(RETRY) == Redeemed(make_session())


async def test_releasing_what_nobody_holds_is_no_error(store: SessionStore) -> None:
    await store.release(claim_of())
    assert await store.claim(claim_of()) == Claimed()


# --- redeemed ---


async def test_a_session_that_was_opened_is_kept_as_it_is(store: SessionStore) -> None:
    await redeem(store, claim_of())
    assert await store.see("session-a", 0, NOW) == Active(make_session())


async def test_who_comes_again_with_the_same_key_is_told_the_session_as_often_as_they_ask(
    store: SessionStore,
) -> None:
    await redeem(store, claim_of(key="key-a"))
    for second in range(3):
        at = NOW + second * LEASE
        again = claim_of(key="key-a", holder=f"holder-{second}", at=at)
        assert await store.claim(again) == Redeemed(make_session())


@pytest.mark.parametrize("lost", ["no key", "another key", "no key at first", "no key ever"])
async def test_who_comes_without_the_same_key_is_told_nothing(
    store: SessionStore, lost: str
) -> None:
    first = None if lost in {"no key at first", "no key ever"} else "key-a"
    second = {"another key": "key-b", "no key at first": "key-a"}.get(lost)
    await redeem(store, claim_of(key=first))
    assert await store.claim(replace(RETRY, key_hash=claim_of(key=second).key_hash)) == Redeemed(
        None
    )


async def test_a_session_that_has_been_refreshed_is_told_to_nobody(store: SessionStore) -> None:
    await redeem(store, claim_of(key="key-a"))
    await store.rotate(rotation_of(0))
    assert await store.claim(RETRY) == Redeemed(None)


async def test_a_session_that_has_ended_is_told_to_nobody(store: SessionStore) -> None:
    await redeem(store, claim_of(key="key-a"))
    await store.end("session-a", SUBJECT, Ending.LOGGED_OUT, NOW)
    assert await store.claim(RETRY) == Redeemed(None)


async def test_a_session_that_has_expired_is_told_to_nobody(store: SessionStore) -> None:
    claim = claim_of(key="key-a")
    brief = make_session(expires_at=NOW + SECOND, absolute_expires_at=NOW + SECOND)
    await store.claim(claim)
    await store.open(claim, brief, UNLIMITED)
    assert await store.claim(RETRY) == Redeemed(None)


async def test_a_session_that_has_been_used_but_not_refreshed_is_told_again(
    store: SessionStore,
) -> None:
    await redeem(store, claim_of(key="key-a"))
    await store.see("session-a", 0, NOW)
    assert await store.claim(RETRY) == Redeemed(make_session())


# --- keys ---


@pytest.mark.parametrize("redeemed", [False, True], ids=["held", "redeemed"])
async def test_a_key_that_belongs_to_a_ticket_serves_no_other(
    store: SessionStore,
    redeemed: bool,  # noqa: FBT001  # pytest names it
) -> None:
    first = claim_of("ticket-a", key="key-a")
    await (redeem(store, first) if redeemed else store.claim(first))
    assert await store.claim(claim_of("ticket-b", key="key-a")) == KeyTaken()
    assert await store.claim(claim_of("ticket-b", key="key-b")) == Claimed()


async def test_many_tickets_can_be_claimed_without_a_key(store: SessionStore) -> None:
    for number in range(3):
        await redeem(store, claim_of(f"ticket-{number}"), f"session-{number}")


async def test_an_heir_brings_a_key_of_its_own(store: SessionStore) -> None:
    await store.claim(claim_of(key="key-a"))
    heir = claim_of(key="key-b", holder="holder-b", at=NOW + LEASE)
    await redeem(store, heir)
    assert await store.claim(replace(heir, holder="holder-c")) == Redeemed(make_session())
    assert await store.claim(claim_of("ticket-b", key="key-a", at=NOW + LEASE)) == Claimed()


# --- two holders, one session ---


async def test_a_slow_holder_learns_that_the_heir_was_faster(store: SessionStore) -> None:
    slow = claim_of(key="key-a")
    await store.claim(slow)
    await redeem(store, claim_of(key="key-a", holder="holder-b", at=NOW + LEASE))
    outcome = await store.open(slow, make_session("session-b"), UNLIMITED)
    assert outcome == Redeemed(make_session())
    assert await store.see("session-b", 0, NOW) == Unknown()


async def test_a_slow_holder_with_another_key_is_not_told_the_session_of_the_heir(
    store: SessionStore,
) -> None:
    slow = claim_of(key="key-a")
    await store.claim(slow)
    await redeem(store, claim_of(key="key-b", holder="holder-b", at=NOW + LEASE))
    assert await store.open(slow, make_session("session-b"), UNLIMITED) == Redeemed(None)


async def test_an_heir_learns_that_the_slow_holder_came_first_after_all(
    store: SessionStore,
) -> None:
    slow = claim_of(key="key-a")
    heir = claim_of(key="key-a", holder="holder-b", at=NOW + LEASE)
    await store.claim(slow)
    await store.claim(heir)
    assert await store.open(slow, make_session(), UNLIMITED) == Opened([])
    assert await store.open(heir, make_session("session-b"), UNLIMITED) == Redeemed(make_session())
    await store.release(heir)
    assert await store.claim(RETRY) == Redeemed(make_session())


async def test_a_slow_holder_makes_the_session_if_the_heir_has_given_up(
    store: SessionStore,
) -> None:
    slow = claim_of(key="key-a")
    heir = claim_of(key="key-a", holder="holder-b", at=NOW + LEASE)
    await store.claim(slow)
    await store.claim(heir)
    await store.release(heir)  # Authing told it that the ticket was used
    assert await store.open(slow, make_session(), UNLIMITED) == Opened([])
    stranger = claim_of(holder="holder-c", at=NOW + LEASE)
    assert await store.claim(stranger) == Redeemed(None)
    assert await store.claim(RETRY) == Redeemed(make_session())
    assert await store.open(heir, make_session("session-b"), UNLIMITED) == Redeemed(make_session())


async def test_a_slow_holder_whose_key_serves_another_ticket_by_now_takes_it_from_nobody(
    store: SessionStore,
) -> None:
    slow = claim_of("ticket-a", key="key-a")
    await store.claim(slow)
    heir = claim_of("ticket-a", holder="holder-b", at=NOW + LEASE)
    await store.claim(heir)
    await store.release(heir)
    other = claim_of("ticket-b", key="key-a", holder="holder-c", at=NOW + LEASE)
    await redeem(store, other, "session-b")
    assert await store.open(slow, make_session(), UNLIMITED) == Opened([])
    assert await store.claim(replace(other, holder="d")) == Redeemed(make_session("session-b"))


# --- forgotten ---


@pytest.mark.parametrize("redeemed", [False, True], ids=["held", "redeemed"])
async def test_a_claim_is_forgotten_at_the_very_second_at_which_its_ticket_is_over(
    store: SessionStore,
    redeemed: bool,  # noqa: FBT001  # pytest names it
) -> None:
    claim = claim_of("ticket-a", key="key-a")
    await (redeem(store, claim) if redeemed else store.claim(claim))
    last = claim_of("ticket-b", key="key-a", at=NOW + TICKET_LIFE - SECOND)
    assert await store.claim(last) == KeyTaken()
    assert await store.claim(claim_of("ticket-a", at=NOW + TICKET_LIFE)) == Claimed()
    assert await store.claim(claim_of("ticket-b", key="key-a", at=NOW + TICKET_LIFE)) == Claimed()


async def test_a_purge_takes_claims_whose_tickets_are_over_and_no_sessions(
    store: SessionStore,
) -> None:
    await store.claim(claim_of("ticket-a"))
    await redeem(store, claim_of("ticket-b"))
    await store.claim(claim_of("ticket-c", at=NOW + SECOND))
    assert await store.purge(NOW + TICKET_LIFE - SECOND) == 0
    assert await store.purge(NOW + TICKET_LIFE) == 2
    assert isinstance(await store.see("session-a", 0, NOW + TICKET_LIFE), Active)


async def test_a_retry_after_the_session_was_purged_is_told_nothing(store: SessionStore) -> None:
    claim = claim_of(key="key-a", life=100 * DAY)
    await redeem(store, claim)
    assert await store.purge(NOW + IDLE + 7 * DAY) == 1
    again = claim_of(key="key-a", holder="holder-b", at=NOW + IDLE + 7 * DAY)
    assert await store.claim(again) == Redeemed(None)
