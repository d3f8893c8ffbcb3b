"""All sessions of a user are listed, ended and erased together, without those of other users."""

import asyncio
from datetime import timedelta

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, Ended, Replayed, Rotated, Unknown
from app.sessions.ports import Stores
from tests.stores.builders import DAY, HOUR, IDLE, NOW, ONE, SECOND, SUBJECT
from tests.stores.steps import (
    Act,
    Step,
    active_ids,
    add,
    end,
    end_all,
    erase,
    play,
    purge,
    rotate,
    run,
    touch,
)

OTHER = "5e00000000000000000000bb"
LATER = NOW + 4 * HOUR
FORGOTTEN = LATER + 7 * DAY
USERS = ["oldest", "middle", "newest"]
KICKED, ERASED = Ended(EndReason.KICKED), Ended(EndReason.ERASED)


@pytest.fixture
async def store(store: Stores) -> Stores:
    """Three sessions of the user and one of another."""
    hours = {"newest": 3, "oldest": 1, "middle": 2}
    await run(store, *(add(name, created_at=NOW + hours[name] * HOUR) for name in hours))
    await run(store, add("other", subject=OTHER))
    return store


def end_of(session_id: str, subject: str | None, reason: EndReason = EndReason.LOGGED_OUT) -> Act:
    return end(reason, LATER, session_id, subject)


MIDDLE_ENDS: Step = (end_of("middle", SUBJECT), Ended(EndReason.LOGGED_OUT, changed=True))
MIDDLE_STAYS: Step = (touch(0, LATER, "middle"), Ended(EndReason.LOGGED_OUT))
OTHERS_LIVES: Step = (touch(0, LATER, "other"), Active)
STORIES: dict[str, list[Step]] = {
    "a user's sessions are listed oldest first": [
        *(
            (active_ids(LATER), USERS),
            (active_ids(LATER, OTHER), ["other"]),
            (active_ids(LATER, "unknown"), []),
        )
    ],
    "a session that is over is not listed": [
        *(MIDDLE_ENDS, (active_ids(LATER), ["oldest", "newest"])),
        *((active_ids(NOW + IDLE - SECOND), ["oldest", "newest"]), (active_ids(NOW + IDLE), [])),
    ],
    "listing closes no window": [
        *((rotate(0, session_id="other"), Rotated), (active_ids(LATER, OTHER), ["other"])),
        *((rotate(0, session_id="other"), Replayed), (touch(1, NOW, "other"), Active)),
    ],
    # --- ended one by one ---
    "a user cannot end the session of another": [
        (end_of("other", SUBJECT), Unknown()),
        OTHERS_LIVES,
    ],
    "a user is not told how the session of another ended": [
        *((end_of("other", OTHER), Ended), (end_of("other", SUBJECT), Unknown()))
    ],
    "a session ends without its user being named": [
        (end_of("other", None, EndReason.REVOKED), Ended(EndReason.REVOKED, changed=True)),
        *((end_of("other", None), Ended(EndReason.REVOKED)), (active_ids(LATER, OTHER), [])),
        (end_of("nothing", None), Unknown()),
    ],
    # --- ended together ---
    "all sessions of a user end together": [
        (end_all(EndReason.KICKED, LATER), USERS),
        *((touch(0, LATER, name), KICKED) for name in USERS),
        *((rotate(0, LATER, session_id=name), KICKED) for name in USERS),
        OTHERS_LIVES,
    ],
    "all sessions but one end together": [
        (end_all(EndReason.REVOKED, LATER, keep="middle"), ["oldest", "newest"]),
        (active_ids(LATER), ["middle"]),
    ],
    "keeping the session of another keeps nothing": [
        (end_all(EndReason.REVOKED, LATER, keep="other"), USERS),
        (active_ids(LATER, OTHER), ["other"]),
    ],
    "ended sessions are not ended again": [
        *(MIDDLE_ENDS, (end_all(EndReason.KICKED, LATER), ["oldest", "newest"])),
        *((end_all(EndReason.KICKED, LATER), []), MIDDLE_STAYS),
    ],
    # --- erased ---
    "the sessions of an erased user end as erased": [
        *(
            (erase(LATER), USERS),
            (touch(0, LATER, "oldest"), ERASED),
            (active_ids(LATER, OTHER), ["other"]),
        )
    ],
    "older end reasons of an erased user stay": [
        *(MIDDLE_ENDS, (erase(LATER), ["oldest", "newest"]), MIDDLE_STAYS)
    ],
    "an erased session belongs to no user": [
        *(MIDDLE_ENDS, (erase(LATER), ["oldest", "newest"])),
        *((end_of(name, SUBJECT), Unknown()) for name in USERS),
        *((active_ids(LATER), []), (erase(LATER), [])),
    ],
    "a tombstone without a user stays for seven days": [
        *((erase(LATER, OTHER), ["other"]), (purge(FORGOTTEN - SECOND), 0)),
        *((touch(0, FORGOTTEN - SECOND, "other"), ERASED), (purge(FORGOTTEN), 1)),
        (touch(0, FORGOTTEN, "other"), Unknown()),
    ],
}


@pytest.mark.parametrize("steps", STORIES.values(), ids=STORIES)
async def test_the_sessions_of_a_user_have_these_outcomes(store: Stores, steps: list[Step]) -> None:
    await play(store, *steps)


async def test_sessions_of_one_second_are_listed_in_the_order_of_writing(store: Stores) -> None:
    await run(store, *(add(name, subject="user-c") for name in "zam"))
    await play(store, (active_ids(LATER, "user-c"), ["z", "a", "m"]))


async def test_a_replaced_session_of_an_erased_user_names_no_device(store: Stores) -> None:
    await run(store, add("newcomer", ONE, created_at=LATER, device_type="ios"), erase(LATER))
    await play(store, (touch(0, LATER, "oldest"), Ended(EndReason.REPLACED, None)))


async def test_an_erased_user_can_log_in_again(store: Stores) -> None:
    await run(store, erase(LATER), add("again", created_at=LATER))
    await play(store, (active_ids(LATER), ["again"]))


# --- when a user is to be looked at again, for all instances together ---


async def is_due(store: Stores, after: timedelta = timedelta()) -> bool:
    """Whether a look is due then; if so, the next one is due an hour later."""
    await store.maintenance.purge(NOW + after)
    return await store.sessions.schedule_look(SUBJECT, NOW + after, HOUR)


async def test_a_look_is_due_once_in_each_period(store: Stores) -> None:
    ages = [timedelta(), SECOND, HOUR - SECOND, HOUR, HOUR + SECOND, 2 * HOUR]
    due = [await is_due(store, age) for age in ages]
    assert due == [True, False, False, True, False, True]
    assert await store.sessions.schedule_look("another-user", NOW, HOUR)


async def test_of_concurrent_callers_one_looks(store: Stores) -> None:
    calls = (store.sessions.schedule_look(SUBJECT, NOW, HOUR) for _ in range(20))
    assert sum(await asyncio.gather(*calls)) == 1


async def test_a_forced_look_is_due_and_moves_the_next_one(store: Stores) -> None:
    assert await is_due(store)
    assert await store.sessions.schedule_look(SUBJECT, NOW + SECOND, HOUR, force=True)
    assert not await is_due(store, HOUR)
    assert await is_due(store, HOUR + SECOND)


async def test_an_erasure_forgets_when_the_user_was_looked_at(store: Stores) -> None:
    assert await is_due(store)
    await run(store, erase())
    assert await is_due(store, SECOND)


async def test_a_note_that_is_over_is_purged(store: Stores) -> None:
    assert await is_due(store)
    await play(store, (purge(NOW + HOUR - SECOND), 0), (purge(NOW + HOUR), 1))
