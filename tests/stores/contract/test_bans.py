"""Bans: they end sessions and refuse logins, up to the second of their end."""

from datetime import datetime

import pytest

from app.sessions.models import Ban, EndReason
from app.sessions.outcomes import (
    Acquired,
    Active,
    AlreadyUsed,
    Banned,
    Ended,
    Held,
    Opened,
    Unknown,
)
from app.sessions.ports import MAX_LISTED_BANS, SessionLimits, Stores
from tests.stores.builders import DAY, HOUR, LEASE, NOW, SECOND, ban_of, lease_of
from tests.stores.steps import (
    Act,
    Step,
    acquire,
    active_ids,
    add,
    create,
    end,
    erase,
    find,
    lift,
    list_bans,
    play,
    purge,
    put,
    rotate,
    run,
    touch,
)

UNTIL = NOW + HOUR
LAST = UNTIL - SECOND
BANNED, ONE = Ended(EndReason.BANNED), SessionLimits(max_per_user=1, one_per_device_type=True)
UNTIL_AN_HOUR, FOREVER, OTHERS = ban_of(until=UNTIL), ban_of(), ban_of("other")
OTHERS_HOUR = ban_of("other", until=UNTIL)
FRAUD = ban_of(at=NOW + SECOND, reason="fraud")


def log_in(at: datetime = NOW, limits: SessionLimits = ONE) -> Act:
    """A login whose session is named after its time."""
    return create(lease_of(f"ticket of {at}", at=at), f"session at {at}", limits, created_at=at)


SLOW, SUCCESSOR = lease_of(), lease_of(holder="holder-b", at=NOW + LEASE)
STORIES: dict[str, list[Step]] = {
    "a ban at login releases the lease": [
        *((put(FOREVER), []), (acquire(SLOW), Acquired()), (create(SLOW), Banned(None))),
        (acquire(lease_of(holder="holder-b")), Acquired()),
    ],
    "a ban at login does not release the lease of another holder": [
        *((put(FOREVER), []), (acquire(SLOW), Acquired()), (acquire(SUCCESSOR), Acquired())),
        (create(SLOW), Banned(None)),
        (acquire(lease_of(holder="holder-c", at=NOW + LEASE)), Held(NOW + 2 * LEASE)),
    ],
    "a login refused by a ban replaces no session": [
        *((log_in(), Opened([])), (put(ban_of(at=NOW, until=UNTIL)), [f"session at {NOW}"])),
        *((log_in(UNTIL), Opened([])), (put(FOREVER), [f"session at {UNTIL}"])),
        (log_in(UNTIL + SECOND), Banned(None)),
    ],
    "a ban is over at the second of its end": [
        *((put(UNTIL_AN_HOUR), []), (find(LAST), UNTIL_AN_HOUR), (log_in(LAST), Banned(UNTIL))),
        *((find(UNTIL), None), (log_in(UNTIL), Opened([]))),
    ],
    "a ban without end stays": [(put(FOREVER), []), (find(NOW + 10_000 * DAY), FOREVER)],
    "a ban can be changed": [
        *((put(UNTIL_AN_HOUR), []), (put(FRAUD), []), (find(UNTIL), FRAUD), (list_bans(), [FRAUD]))
    ],
    "a lifted ban is not listed": [
        *((put(OTHERS), []), (put(FOREVER), []), (lift("other"), None), (list_bans(), [FOREVER]))
    ],
    "a lifted ban lets the user in but brings no session back": [
        *((log_in(), Opened([])), (put(FOREVER), [f"session at {NOW}"]), (lift(), None)),
        *((find(), None), (touch(0, NOW, f"session at {NOW}"), BANNED)),
        (log_in(NOW + SECOND), Opened([])),
    ],
    "lifting a ban that does not exist is allowed": [
        *((put(OTHERS), []), (lift(), None), (find(NOW, "other"), OTHERS))
    ],
    "a ban does not change an earlier end reason": [
        *((create(SLOW), Opened([])), (end(), Ended), (put(FOREVER), [])),
        (touch(0), Ended(EndReason.LOGGED_OUT)),
    ],
    "a retry of a banned user gets no session": [
        *((create(lease_of(key="key")), Opened([])), (put(FOREVER), ["session-a"])),
        (acquire(lease_of(key="key", holder="holder-b")), AlreadyUsed(None)),
    ],
    "erasing a user does not lift the ban": [
        *((put(FOREVER), []), (erase(), []), (log_in(), Banned(None)), (list_bans(), [FOREVER]))
    ],
    "erasing a user forgets a ban that is over": [
        *((put(UNTIL_AN_HOUR), []), (put(OTHERS_HOUR), [])),
        *((erase(LAST), []), (list_bans(LAST), [OTHERS_HOUR, UNTIL_AN_HOUR])),
        *((erase(UNTIL), []), (find(), None), (purge(UNTIL), 1)),
    ],
    "a purge deletes only bans that are over": [
        *((put(UNTIL_AN_HOUR), []), (put(ban_of("other", until=UNTIL + SECOND)), [])),
        *((put(ban_of("third")), []), (purge(LAST), 0), (purge(UNTIL), 1)),
        *((find(UNTIL, "other"), Ban), (find(UNTIL, "third"), Ban)),
    ],
}


@pytest.mark.parametrize("steps", STORIES.values(), ids=STORIES)
async def test_bans_have_these_outcomes(store: Stores, steps: list[Step]) -> None:
    await play(store, *steps)


@pytest.mark.parametrize("until", [None, UNTIL])
async def test_a_ban_ends_the_users_sessions_and_refuses_the_next(
    store: Stores, until: datetime | None
) -> None:
    await run(store, add(), add("session-b"), add("other", subject="other"))
    await play(
        store,
        (put(ban_of(until=until)), ["session-a", "session-b"]),
        *((touch(0), BANNED), (rotate(0), BANNED), (touch(0, NOW, "other"), Active)),
        *((log_in(), Banned(until)), (touch(0, NOW, f"session at {NOW}"), Unknown())),
        (active_ids(), []),
    )


async def test_bans_in_force_are_listed_those_that_last_longest_first(store: Stores) -> None:
    bans = [
        *(ban_of("user-c"), ban_of("user-b")),
        *(ban_of("user-a", until=UNTIL), ban_of("user-d", until=LAST)),
    ]
    await run(store, *(put(bans[place]) for place in (2, 0, 3, 1)))
    await play(
        store, (list_bans(), bans), (list_bans(LAST), bans[:3]), (list_bans(UNTIL), bans[:2])
    )


async def test_a_list_of_bans_is_bounded(store: Stores) -> None:
    await run(store, *(put(ban_of(f"user-{n:04}")) for n in range(MAX_LISTED_BANS + 1)))
    subjects = [ban.subject for ban in await store.bans.list_bans(NOW)]
    assert (subjects[:2], len(subjects)) == ([f"user-{MAX_LISTED_BANS}", "user-0999"], 1000)
