"""Tickets: one holder at a time, and one session."""

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


async def use_ticket(store: Stores, lease: TicketLease, session_id: str = "session-a") -> None:
    assert await store.tickets.acquire(lease) == Acquired()
    assert await store.tickets.create_session(lease, make_session(session_id), UNLIMITED) == Opened(
        []
    )


# --- taken and held ---


@pytest.mark.parametrize("key", [None, "key-a", "key-b"])
async def test_a_held_ticket_cannot_be_acquired_by_another_holder(
    store: Stores, key: str | None
) -> None:
    await store.tickets.acquire(lease_of(key="key-a"))
    later = lease_of(key=key, holder="holder-b", at=NOW + LEASE - SECOND)
    assert await store.tickets.acquire(later) == Held(NOW + LEASE)


async def test_a_refused_acquire_does_not_extend_the_lease(store: Stores) -> None:
    await store.tickets.acquire(lease_of())
    await store.tickets.acquire(lease_of(holder="holder-b", at=NOW + LEASE - SECOND))
    assert await store.tickets.acquire(lease_of(holder="holder-c", at=NOW + LEASE)) == Acquired()


async def test_a_ticket_can_be_taken_over_at_the_second_at_which_the_lease_ends(
    store: Stores,
) -> None:
    await store.tickets.acquire(lease_of())
    successor = lease_of(holder="holder-b", at=NOW + LEASE)
    assert await store.tickets.acquire(successor) == Acquired()
    third = lease_of(holder="holder-c", at=NOW + LEASE + SECOND)
    assert await store.tickets.acquire(third) == Held(NOW + 2 * LEASE)


# --- released ---


async def test_a_released_ticket_can_be_acquired_at_once(store: Stores) -> None:
    await store.tickets.acquire(lease_of(key="key-a"))
    await store.tickets.release(lease_of(key="key-a"))
    assert await store.tickets.acquire(lease_of(key="key-b", holder="holder-b")) == Acquired()


async def test_a_released_ticket_frees_its_idempotency_key(store: Stores) -> None:
    await store.tickets.acquire(lease_of("ticket-a", key="key-a"))
    await store.tickets.release(lease_of("ticket-a", key="key-a"))
    assert await store.tickets.acquire(lease_of("ticket-b", key="key-a")) == Acquired()


async def test_a_former_holder_cannot_release_the_lease_of_its_successor(store: Stores) -> None:
    slow = lease_of()
    await store.tickets.acquire(slow)
    await store.tickets.acquire(lease_of(holder="holder-b", at=NOW + LEASE))
    await store.tickets.release(slow)
    third = lease_of(holder="holder-c", at=NOW + LEASE)
    assert await store.tickets.acquire(third) == Held(NOW + 2 * LEASE)


async def test_a_ticket_that_became_a_session_cannot_be_released(store: Stores) -> None:
    lease = lease_of(key="key-a")
    await use_ticket(store, lease)
    await store.tickets.release(lease)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(make_session())


# --- used ---


async def test_a_created_session_is_stored_unchanged(store: Stores) -> None:
    await use_ticket(store, lease_of())
    assert await store.sessions.touch("session-a", 0, NOW) == Active(make_session())


async def test_a_retry_with_the_same_key_gets_the_session_every_time(store: Stores) -> None:
    await use_ticket(store, lease_of(key="key-a"))
    for second in range(3):
        at = NOW + second * LEASE
        again = lease_of(key="key-a", holder=f"holder-{second}", at=at)
        assert await store.tickets.acquire(again) == AlreadyUsed(make_session())


@pytest.mark.parametrize("lost", ["no key", "another key", "no key at first", "no key ever"])
async def test_a_retry_without_the_same_key_gets_no_session(store: Stores, lost: str) -> None:
    first = None if lost in {"no key at first", "no key ever"} else "key-a"
    second = {"another key": "key-b", "no key at first": "key-a"}.get(lost)
    await use_ticket(store, lease_of(key=first))
    assert await store.tickets.acquire(
        replace(RETRY, key_hash=lease_of(key=second).key_hash)
    ) == AlreadyUsed(None)


async def test_a_retry_gets_no_session_that_has_been_refreshed(store: Stores) -> None:
    await use_ticket(store, lease_of(key="key-a"))
    await store.sessions.rotate(rotation_of(0))
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(None)


async def test_a_retry_gets_no_session_that_has_ended(store: Stores) -> None:
    await use_ticket(store, lease_of(key="key-a"))
    await store.sessions.end("session-a", SUBJECT, EndReason.LOGGED_OUT, NOW)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(None)


async def test_a_retry_gets_no_session_that_has_expired(store: Stores) -> None:
    lease = lease_of(key="key-a")
    brief = make_session(expires_at=NOW + SECOND, absolute_expires_at=NOW + SECOND)
    await store.tickets.acquire(lease)
    await store.tickets.create_session(lease, brief, UNLIMITED)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(None)


async def test_a_retry_gets_a_session_that_was_used_but_not_refreshed(store: Stores) -> None:
    await use_ticket(store, lease_of(key="key-a"))
    await store.sessions.touch("session-a", 0, NOW)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(make_session())


# --- keys ---


@pytest.mark.parametrize("used", [False, True], ids=["held", "used"])
async def test_a_key_that_belongs_to_a_ticket_serves_no_other(
    store: Stores,
    used: bool,  # noqa: FBT001  # pytest names it
) -> None:
    first = lease_of("ticket-a", key="key-a")
    await (use_ticket(store, first) if used else store.tickets.acquire(first))
    assert await store.tickets.acquire(lease_of("ticket-b", key="key-a")) == KeyConflict()
    assert await store.tickets.acquire(lease_of("ticket-b", key="key-b")) == Acquired()


async def test_a_key_conflict_comes_before_a_held_ticket(store: Stores) -> None:
    await store.tickets.acquire(lease_of("ticket-a", key="key-a"))
    await store.tickets.acquire(lease_of("ticket-b", key="key-b"))
    mixed = lease_of("ticket-a", key="key-b", holder="holder-b")
    assert await store.tickets.acquire(mixed) == KeyConflict()
    late = lease_of("ticket-a", key="key-a", holder="holder-b")
    assert await store.tickets.acquire(late) == Held(NOW + LEASE)


async def test_many_tickets_can_be_used_without_a_key(store: Stores) -> None:
    for number in range(3):
        await use_ticket(store, lease_of(f"ticket-{number}"), f"session-{number}")


async def test_a_takeover_brings_its_own_idempotency_key(store: Stores) -> None:
    await store.tickets.acquire(lease_of(key="key-a"))
    successor = lease_of(key="key-b", holder="holder-b", at=NOW + LEASE)
    await use_ticket(store, successor)
    assert await store.tickets.acquire(replace(successor, holder="holder-c")) == AlreadyUsed(
        make_session()
    )
    assert (
        await store.tickets.acquire(lease_of("ticket-b", key="key-a", at=NOW + LEASE)) == Acquired()
    )


# --- two holders, one session ---


async def test_a_slow_holder_gets_the_session_of_its_successor(store: Stores) -> None:
    slow = lease_of(key="key-a")
    await store.tickets.acquire(slow)
    await use_ticket(store, lease_of(key="key-a", holder="holder-b", at=NOW + LEASE))
    outcome = await store.tickets.create_session(slow, make_session("session-b"), UNLIMITED)
    assert outcome == AlreadyUsed(make_session())
    assert await store.sessions.touch("session-b", 0, NOW) == Unknown()


async def test_a_slow_holder_with_another_key_gets_no_session_of_its_successor(
    store: Stores,
) -> None:
    slow = lease_of(key="key-a")
    await store.tickets.acquire(slow)
    await use_ticket(store, lease_of(key="key-b", holder="holder-b", at=NOW + LEASE))
    assert await store.tickets.create_session(
        slow, make_session("session-b"), UNLIMITED
    ) == AlreadyUsed(None)


async def test_a_successor_gets_the_session_of_a_slow_holder_that_came_first(store: Stores) -> None:
    slow = lease_of(key="key-a")
    successor = lease_of(key="key-a", holder="holder-b", at=NOW + LEASE)
    await store.tickets.acquire(slow)
    await store.tickets.acquire(successor)
    assert await store.tickets.create_session(slow, make_session(), UNLIMITED) == Opened([])
    assert await store.tickets.create_session(
        successor, make_session("session-b"), UNLIMITED
    ) == AlreadyUsed(make_session())
    await store.tickets.release(successor)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(make_session())


async def test_a_slow_holder_creates_the_session_if_its_successor_gave_up(store: Stores) -> None:
    slow = lease_of(key="key-a")
    successor = lease_of(key="key-a", holder="holder-b", at=NOW + LEASE)
    await store.tickets.acquire(slow)
    await store.tickets.acquire(successor)
    await store.tickets.release(successor)  # Authing told it that the ticket was used
    assert await store.tickets.create_session(slow, make_session(), UNLIMITED) == Opened([])
    stranger = lease_of(holder="holder-c", at=NOW + LEASE)
    assert await store.tickets.acquire(stranger) == AlreadyUsed(None)
    assert await store.tickets.acquire(RETRY) == AlreadyUsed(make_session())
    assert await store.tickets.create_session(
        successor, make_session("session-b"), UNLIMITED
    ) == AlreadyUsed(make_session())


async def test_a_slow_holder_does_not_take_its_key_back_from_another_ticket(store: Stores) -> None:
    slow = lease_of("ticket-a", key="key-a")
    await store.tickets.acquire(slow)
    successor = lease_of("ticket-a", holder="holder-b", at=NOW + LEASE)
    await store.tickets.acquire(successor)
    await store.tickets.release(successor)
    other = lease_of("ticket-b", key="key-a", holder="holder-c", at=NOW + LEASE)
    await use_ticket(store, other, "session-b")
    assert await store.tickets.create_session(slow, make_session(), UNLIMITED) == Opened([])
    assert await store.tickets.acquire(replace(other, holder="d")) == AlreadyUsed(
        make_session("session-b")
    )


# --- forgotten ---


@pytest.mark.parametrize("used", [False, True], ids=["held", "used"])
async def test_a_lease_is_forgotten_at_the_second_at_which_its_ticket_expires(
    store: Stores,
    used: bool,  # noqa: FBT001  # pytest names it
) -> None:
    lease = lease_of("ticket-a", key="key-a")
    await (use_ticket(store, lease) if used else store.tickets.acquire(lease))
    last = lease_of("ticket-b", key="key-a", at=NOW + TICKET_LIFE - SECOND)
    assert await store.tickets.acquire(last) == KeyConflict()
    assert await store.tickets.acquire(lease_of("ticket-a", at=NOW + TICKET_LIFE)) == Acquired()
    late = lease_of("ticket-a", holder="holder-b", at=NOW + TICKET_LIFE)
    assert await store.tickets.acquire(late) == Held(NOW + TICKET_LIFE + LEASE)
    assert (
        await store.tickets.acquire(lease_of("ticket-b", key="key-a", at=NOW + TICKET_LIFE))
        == Acquired()
    )


async def test_a_purge_deletes_expired_tickets_and_no_sessions(store: Stores) -> None:
    await store.tickets.acquire(lease_of("ticket-a"))
    await use_ticket(store, lease_of("ticket-b"))
    await store.tickets.acquire(lease_of("ticket-c", at=NOW + SECOND))
    assert await store.maintenance.purge(NOW + TICKET_LIFE - SECOND) == 0
    assert await store.maintenance.purge(NOW + TICKET_LIFE) == 2
    assert isinstance(await store.sessions.touch("session-a", 0, NOW + TICKET_LIFE), Active)


async def test_a_retry_after_the_purge_of_its_session_gets_no_session(store: Stores) -> None:
    lease = lease_of(key="key-a", life=100 * DAY)
    await use_ticket(store, lease)
    assert await store.maintenance.purge(NOW + IDLE + 7 * DAY) == 1
    again = lease_of(key="key-a", holder="holder-b", at=NOW + IDLE + 7 * DAY)
    assert await store.tickets.acquire(again) == AlreadyUsed(None)
