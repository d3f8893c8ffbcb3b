"""A ticket in the hands of logins: one holder at a time, one session, and no way round that."""

from dataclasses import replace

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Acquired, Active, AlreadyUsed, Held, KeyConflict, Opened, Unknown
from app.sessions.ports import Stores, TicketLease
from tests.stores.builders import (
    DAY,
    IDLE,
    LEASE,
    NOW,
    SECOND,
    SUBJECT,
    TICKET_LIFE,
    UNLIMITED,
    lease_of,
    make_session,
    rotation_of,
)

RETRY = lease_of(key="key-a", holder="holder-b", at=NOW + SECOND)


async def redeem(store: Stores, claim: TicketLease, session_id: str = "session-a") -> None:
    assert await store.tickets.acquire(claim) == Acquired()
    assert await store.tickets.create_session(claim, make_session(session_id), UNLIMITED) == Opened(
        []
    )


# --- taken and held ---


async def test_a_ticket_that_nobody_holds_can_be_claimed(store: Stores) -> None:
    assert await store.tickets.acquire(lease_of("ticket-a")) == Acquired()
    assert await store.tickets.acquire(lease_of("ticket-b", holder="holder-b")) == Acquired()


@pytest.mark.parametrize("key", [None, "key-a", "key-b"])
async def test_a_ticket_that_is_held_can_be_claimed_by_nobody_else(
    store: Stores, key: str | None
) -> None:
    await store.tickets.acquire(lease_of(key="key-a"))
    later = lease_of(key=key, holder="holder-b", at=NOW + LEASE - SECOND)
    assert await store.tickets.acquire(later) == Held(NOW + LEASE)


async def test_a_refused_claim_does_not_make_the_lease_longer(store: Stores) -> None:
    await store.tickets.acquire(lease_of())
    await store.tickets.acquire(lease_of(holder="holder-b", at=NOW + LEASE - SECOND))
    assert await store.tickets.acquire(lease_of(holder="holder-c", at=NOW + LEASE)) == Acquired()


async def test_a_ticket_is_taken_over_at_the_very_second_at_which_the_lease_ends(
    store: Stores,
) -> None:
    await store.tickets.acquire(lease_of())
    heir = lease_of(holder="holder-b", at=NOW + LEASE)
    assert await store.tickets.acquire(heir) == Acquired()
    third = lease_of(holder="holder-c", at=NOW + LEASE + SECOND)
    assert await store.tickets.acquire(third) == Held(NOW + 2 * LEASE)


# --- released ---


async def test_a_released_ticket_can_be_claimed_at_once(store: Stores) -> None:
    await store.tickets.acquire(lease_of(key="key-a"))
    await store.tickets.release(lease_of(key="key-a"))
    assert await store.tickets.acquire(lease_of(key="key-b", holder="holder-b")) == Acquired()


async def test_a_released_ticket_sets_its_key_free(store: Stores) -> None:
    await store.tickets.acquire(lease_of("ticket-a", key="key-a"))
    await store.tickets.release(lease_of("ticket-a", key="key-a"))
    assert await store.tickets.acquire(lease_of("ticket-b", key="key-a")) == Acquired()


async def test_who_was_taken_over_cannot_release_the_claim_of_the_heir(
    store: Stores,
) -> None:
    slow = lease_of()
    await store.tickets.acquire(slow)
    await store.tickets.acquire(lease_of(holder="holder-b", at=NOW + LEASE))
    await store.tickets.release(slow)
    third = lease_of(holder="holder-c", at=NOW + LEASE)
    assert await store.tickets.acquire(third) == Held(NOW + 2 * LEASE)


async def test_a_ticket_that_became_a_session_cannot_be_released(store: Stores) -> None:
    claim = lease_of(key="key-a")
    await redeem(store, claim)
    await store.tickets.release(claim)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(make_session())


async def test_releasing_what_nobody_holds_is_no_error(store: Stores) -> None:
    await store.tickets.release(lease_of())
    assert await store.tickets.acquire(lease_of()) == Acquired()


# --- redeemed ---


async def test_a_session_that_was_opened_is_kept_as_it_is(store: Stores) -> None:
    await redeem(store, lease_of())
    assert await store.sessions.touch("session-a", 0, NOW) == Active(make_session())


async def test_who_comes_again_with_the_same_key_is_told_the_session_as_often_as_they_ask(
    store: Stores,
) -> None:
    await redeem(store, lease_of(key="key-a"))
    for second in range(3):
        at = NOW + second * LEASE
        again = lease_of(key="key-a", holder=f"holder-{second}", at=at)
        assert await store.tickets.acquire(again) == AlreadyUsed(make_session())


@pytest.mark.parametrize("lost", ["no key", "another key", "no key at first", "no key ever"])
async def test_who_comes_without_the_same_key_is_told_nothing(store: Stores, lost: str) -> None:
    first = None if lost in {"no key at first", "no key ever"} else "key-a"
    second = {"another key": "key-b", "no key at first": "key-a"}.get(lost)
    await redeem(store, lease_of(key=first))
    assert await store.tickets.acquire(
        replace(RETRY, key_hash=lease_of(key=second).key_hash)
    ) == AlreadyUsed(None)


async def test_a_session_that_has_been_refreshed_is_told_to_nobody(store: Stores) -> None:
    await redeem(store, lease_of(key="key-a"))
    await store.sessions.rotate(rotation_of(0))
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(None)


async def test_a_session_that_has_ended_is_told_to_nobody(store: Stores) -> None:
    await redeem(store, lease_of(key="key-a"))
    await store.sessions.end("session-a", SUBJECT, EndReason.LOGGED_OUT, NOW)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(None)


async def test_a_session_that_has_expired_is_told_to_nobody(store: Stores) -> None:
    claim = lease_of(key="key-a")
    brief = make_session(expires_at=NOW + SECOND, absolute_expires_at=NOW + SECOND)
    await store.tickets.acquire(claim)
    await store.tickets.create_session(claim, brief, UNLIMITED)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(None)


async def test_a_session_that_has_been_used_but_not_refreshed_is_told_again(
    store: Stores,
) -> None:
    await redeem(store, lease_of(key="key-a"))
    await store.sessions.touch("session-a", 0, NOW)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(make_session())


# --- keys ---


@pytest.mark.parametrize("redeemed", [False, True], ids=["held", "redeemed"])
async def test_a_key_that_belongs_to_a_ticket_serves_no_other(
    store: Stores,
    redeemed: bool,  # noqa: FBT001  # pytest names it
) -> None:
    first = lease_of("ticket-a", key="key-a")
    await (redeem(store, first) if redeemed else store.tickets.acquire(first))
    assert await store.tickets.acquire(lease_of("ticket-b", key="key-a")) == KeyConflict()
    assert await store.tickets.acquire(lease_of("ticket-b", key="key-b")) == Acquired()


async def test_many_tickets_can_be_claimed_without_a_key(store: Stores) -> None:
    for number in range(3):
        await redeem(store, lease_of(f"ticket-{number}"), f"session-{number}")


async def test_an_heir_brings_a_key_of_its_own(store: Stores) -> None:
    await store.tickets.acquire(lease_of(key="key-a"))
    heir = lease_of(key="key-b", holder="holder-b", at=NOW + LEASE)
    await redeem(store, heir)
    assert await store.tickets.acquire(replace(heir, holder="holder-c")) == AlreadyUsed(
        make_session()
    )
    assert (
        await store.tickets.acquire(lease_of("ticket-b", key="key-a", at=NOW + LEASE)) == Acquired()
    )


# --- two holders, one session ---


async def test_a_slow_holder_learns_that_the_heir_was_faster(store: Stores) -> None:
    slow = lease_of(key="key-a")
    await store.tickets.acquire(slow)
    await redeem(store, lease_of(key="key-a", holder="holder-b", at=NOW + LEASE))
    outcome = await store.tickets.create_session(slow, make_session("session-b"), UNLIMITED)
    assert outcome == AlreadyUsed(make_session())
    assert await store.sessions.touch("session-b", 0, NOW) == Unknown()


async def test_a_slow_holder_with_another_key_is_not_told_the_session_of_the_heir(
    store: Stores,
) -> None:
    slow = lease_of(key="key-a")
    await store.tickets.acquire(slow)
    await redeem(store, lease_of(key="key-b", holder="holder-b", at=NOW + LEASE))
    assert await store.tickets.create_session(
        slow, make_session("session-b"), UNLIMITED
    ) == AlreadyUsed(None)


async def test_an_heir_learns_that_the_slow_holder_came_first_after_all(
    store: Stores,
) -> None:
    slow = lease_of(key="key-a")
    heir = lease_of(key="key-a", holder="holder-b", at=NOW + LEASE)
    await store.tickets.acquire(slow)
    await store.tickets.acquire(heir)
    assert await store.tickets.create_session(slow, make_session(), UNLIMITED) == Opened([])
    assert await store.tickets.create_session(
        heir, make_session("session-b"), UNLIMITED
    ) == AlreadyUsed(make_session())
    await store.tickets.release(heir)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(make_session())


async def test_a_slow_holder_makes_the_session_if_the_heir_has_given_up(
    store: Stores,
) -> None:
    slow = lease_of(key="key-a")
    heir = lease_of(key="key-a", holder="holder-b", at=NOW + LEASE)
    await store.tickets.acquire(slow)
    await store.tickets.acquire(heir)
    await store.tickets.release(heir)  # Authing told it that the ticket was used
    assert await store.tickets.create_session(slow, make_session(), UNLIMITED) == Opened([])
    stranger = lease_of(holder="holder-c", at=NOW + LEASE)
    assert await store.tickets.acquire(stranger) == AlreadyUsed(None)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(make_session())
    assert await store.tickets.create_session(
        heir, make_session("session-b"), UNLIMITED
    ) == AlreadyUsed(make_session())


async def test_a_slow_holder_whose_key_serves_another_ticket_by_now_takes_it_from_nobody(
    store: Stores,
) -> None:
    slow = lease_of("ticket-a", key="key-a")
    await store.tickets.acquire(slow)
    heir = lease_of("ticket-a", holder="holder-b", at=NOW + LEASE)
    await store.tickets.acquire(heir)
    await store.tickets.release(heir)
    other = lease_of("ticket-b", key="key-a", holder="holder-c", at=NOW + LEASE)
    await redeem(store, other, "session-b")
    assert await store.tickets.create_session(slow, make_session(), UNLIMITED) == Opened([])
    assert await store.tickets.acquire(replace(other, holder="d")) == AlreadyUsed(
        make_session("session-b")
    )


# --- forgotten ---


@pytest.mark.parametrize("redeemed", [False, True], ids=["held", "redeemed"])
async def test_a_claim_is_forgotten_at_the_very_second_at_which_its_ticket_is_over(
    store: Stores,
    redeemed: bool,  # noqa: FBT001  # pytest names it
) -> None:
    claim = lease_of("ticket-a", key="key-a")
    await (redeem(store, claim) if redeemed else store.tickets.acquire(claim))
    last = lease_of("ticket-b", key="key-a", at=NOW + TICKET_LIFE - SECOND)
    assert await store.tickets.acquire(last) == KeyConflict()
    assert await store.tickets.acquire(lease_of("ticket-a", at=NOW + TICKET_LIFE)) == Acquired()
    assert (
        await store.tickets.acquire(lease_of("ticket-b", key="key-a", at=NOW + TICKET_LIFE))
        == Acquired()
    )


async def test_a_purge_takes_claims_whose_tickets_are_over_and_no_sessions(
    store: Stores,
) -> None:
    await store.tickets.acquire(lease_of("ticket-a"))
    await redeem(store, lease_of("ticket-b"))
    await store.tickets.acquire(lease_of("ticket-c", at=NOW + SECOND))
    assert await store.maintenance.purge(NOW + TICKET_LIFE - SECOND) == 0
    assert await store.maintenance.purge(NOW + TICKET_LIFE) == 2
    assert isinstance(await store.sessions.touch("session-a", 0, NOW + TICKET_LIFE), Active)


async def test_a_retry_after_the_session_was_purged_is_told_nothing(store: Stores) -> None:
    claim = lease_of(key="key-a", life=100 * DAY)
    await redeem(store, claim)
    assert await store.maintenance.purge(NOW + IDLE + 7 * DAY) == 1
    again = lease_of(key="key-a", holder="holder-b", at=NOW + IDLE + 7 * DAY)
    assert await store.tickets.acquire(again) == AlreadyUsed(None)
