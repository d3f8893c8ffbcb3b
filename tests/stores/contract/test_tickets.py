"""Tickets: one holder at a time, and one session."""

import pytest

from app.sessions.outcomes import Acquired, Active, AlreadyUsed, Held, KeyConflict, Opened, Unknown
from app.sessions.ports import Stores, TicketLease
from tests.stores.builders import (
    DAY,
    IDLE,
    LEASE,
    NOW,
    SECOND,
    TICKET_LIFE,
    keep,
    lease_of,
    make_session,
)
from tests.stores.steps import Step, acquire, create, end, play, purge, release, rotate, touch

ENDS, OVER, FORGOTTEN = NOW + LEASE, NOW + TICKET_LIFE, NOW + IDLE + 7 * DAY
PLAIN, A = lease_of(), lease_of(key="key-a")
ACQUIRED, CONFLICT, OPENED, USED = Acquired(), KeyConflict(), Opened([]), AlreadyUsed(None)
SAME = AlreadyUsed(make_session())


def retry(key: str | None = "key-a") -> Step:
    """A retry, which gets the session."""
    return acquire(lease_of(key=key, holder="holder-b", at=NOW + SECOND)), SAME


def late(holder: str, key: str | None = None, ticket: str = "ticket-a") -> TicketLease:
    """A lease that begins at the second at which the first one ends."""
    return lease_of(ticket, key=key, holder=holder, at=ENDS)


def use(lease: TicketLease, session_id: str = "session-a") -> list[Step]:
    """A login with the ticket."""
    return [(acquire(lease), ACQUIRED), (create(lease, session_id), OPENED)]


NO_SESSION: Step = (retry()[0], USED)
STORIES: dict[str, list[Step]] = {
    # --- taken, held and released ---
    "a refused acquire does not extend the lease": [
        (acquire(PLAIN), ACQUIRED),
        (acquire(lease_of(holder="b", at=ENDS - SECOND)), Held(ENDS)),
        (acquire(late("c")), ACQUIRED),
    ],
    "a ticket can be taken over at the second at which the lease ends": [
        *((acquire(PLAIN), ACQUIRED), (acquire(late("b")), ACQUIRED)),
        (acquire(lease_of(holder="c", at=ENDS + SECOND)), Held(NOW + 2 * LEASE)),
    ],
    "a released ticket can be acquired at once": [
        *((acquire(A), ACQUIRED), (release(A), None)),
        (acquire(lease_of(key="key-b", holder="b")), ACQUIRED),
    ],
    "a released ticket frees its idempotency key": [
        *((acquire(A), ACQUIRED), (release(A), None)),
        (acquire(lease_of("ticket-b", key="key-a")), ACQUIRED),
    ],
    "a former holder cannot release the lease of its successor": [
        *((acquire(PLAIN), ACQUIRED), (acquire(late("b")), ACQUIRED), (release(PLAIN), None)),
        (acquire(late("c")), Held(NOW + 2 * LEASE)),
    ],
    "a ticket that became a session cannot be released": [*use(A), (release(A), None), retry()],
    # --- used ---
    "a retry with the same key gets the session every time": [
        *use(A),
        *((acquire(lease_of(key="key-a", holder="b", at=NOW + n * LEASE)), SAME) for n in range(3)),
    ],
    "a retry gets no session that has been refreshed": [*use(A), (rotate(0), object), NO_SESSION],
    "a retry gets no session that has ended": [*use(A), (end(), object), NO_SESSION],
    "a retry gets no session that has expired": [
        (acquire(A), ACQUIRED),
        (create(A, expires_at=NOW + SECOND, absolute_expires_at=NOW + SECOND), OPENED),
        NO_SESSION,
    ],
    "a retry gets a session that was used but not refreshed": [
        *(*use(A), (touch(0), Active), retry())
    ],
    # --- keys ---
    "a key conflict comes before a held ticket": [
        *((acquire(A), ACQUIRED), (acquire(lease_of("ticket-b", key="key-b")), ACQUIRED)),
        (acquire(lease_of(key="key-b", holder="b")), CONFLICT),
        (acquire(lease_of(key="key-a", holder="b")), Held(ENDS)),
    ],
    "many tickets can be used without a key": [
        step for n in range(3) for step in use(lease_of(f"ticket-{n}"), f"session-{n}")
    ],
    "a takeover brings its own idempotency key": [
        *((acquire(A), ACQUIRED), *use(late("b", "key-b"))),
        (acquire(late("c", "key-b")), SAME),
        (acquire(late("d", "key-a", "ticket-b")), ACQUIRED),
    ],
    # --- two holders, one session ---
    "a slow holder gets the session of its successor": [
        *((acquire(A), ACQUIRED), *use(late("b", "key-a"))),
        *((create(A, "session-b"), SAME), (touch(0, NOW, "session-b"), Unknown())),
    ],
    "a slow holder with another key gets no session of its successor": [
        *((acquire(A), ACQUIRED), *use(late("b", "key-b")), (create(A, "session-b"), USED))
    ],
    "a successor gets the session of a slow holder that came first": [
        *((acquire(A), ACQUIRED), (acquire(late("b", "key-a")), ACQUIRED), (create(A), OPENED)),
        (create(late("b", "key-a"), "session-b"), SAME),
        *((release(late("b", "key-a")), None), retry()),
    ],
    "a slow holder creates the session if its successor gave up": [
        *((acquire(A), ACQUIRED), (acquire(late("b", "key-a")), ACQUIRED)),
        (release(late("b", "key-a")), None),  # Authing told it that the ticket was used
        *((create(A), OPENED), (acquire(late("c")), USED), retry()),
        (create(late("b", "key-a"), "session-b"), SAME),
    ],
    "a slow holder does not take its key back from another ticket": [
        *((acquire(A), ACQUIRED), (acquire(late("b")), ACQUIRED), (release(late("b")), None)),
        *(*use(late("c", "key-a", "ticket-b"), "session-b"), (create(A), OPENED)),
        (acquire(late("d", "key-a", "ticket-b")), AlreadyUsed(make_session("session-b"))),
        (acquire(late("e", "key-e")), USED),
    ],
    # --- forgotten ---
    "a purge deletes expired tickets and no sessions": [
        *(*use(lease_of("ticket-b")), (acquire(PLAIN), ACQUIRED)),
        (acquire(lease_of("ticket-c", at=NOW + SECOND)), ACQUIRED),
        *((purge(OVER - SECOND), 0), (purge(OVER), 2), (touch(0, OVER), Active)),
    ],
    "a retry after the purge of its session gets no session": [
        *(*use(lease_of(key="key-a", life=100 * DAY)), (purge(FORGOTTEN), 1)),
        (acquire(lease_of(key="key-a", holder="b", at=FORGOTTEN)), USED),
    ],
}


@pytest.mark.parametrize("steps", STORIES.values(), ids=STORIES)
async def test_tickets_have_these_outcomes(store: Stores, steps: list[Step]) -> None:
    await play(store, *steps)


async def test_a_created_session_is_stored_unchanged(store: Stores) -> None:
    await keep(store, make_session())
    await play(store, (touch(0), Active(make_session())))


@pytest.mark.parametrize("key", [None, "key-a", "key-b"])
async def test_a_held_ticket_cannot_be_acquired_by_another_holder(
    store: Stores, key: str | None
) -> None:
    other = acquire(lease_of(key=key, holder="holder-b", at=ENDS - SECOND))
    await play(store, (acquire(A), ACQUIRED), (other, Held(ENDS)))


@pytest.mark.parametrize(
    ("first", "second"), [("key-a", None), ("key-a", "key-b"), (None, "key-a"), (None, None)]
)
async def test_a_retry_without_the_same_key_gets_no_session(
    store: Stores, first: str | None, second: str | None
) -> None:
    await play(store, *use(lease_of(key=first)), (retry(second)[0], USED))


FIRST_USE: dict[str, list[Step]] = {"held": [(acquire(A), ACQUIRED)], "used": use(A)}


@pytest.mark.parametrize("taken", FIRST_USE.values(), ids=FIRST_USE)
async def test_a_key_serves_one_ticket_until_that_ticket_expires(
    store: Stores, taken: list[Step]
) -> None:
    await play(
        store,
        *taken,
        (acquire(lease_of("ticket-b", key="key-a")), CONFLICT),
        (acquire(lease_of("ticket-b", key="key-b")), ACQUIRED),
        (acquire(lease_of("ticket-c", key="key-a", at=OVER - SECOND)), CONFLICT),
        (acquire(lease_of(at=OVER)), ACQUIRED),
        (acquire(lease_of(holder="holder-b", at=OVER)), Held(OVER + LEASE)),
        (acquire(lease_of("ticket-c", key="key-a", at=OVER)), ACQUIRED),
    )
