"""When a session is over, and that its first end reason stays."""

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, Bearer, Ended, Replayed, Reused, Rotated, Unknown
from app.sessions.ports import Stores
from tests.stores.builders import (
    ABSOLUTE,
    DAY,
    HOUR,
    IDLE,
    NOW,
    SECOND,
    SUBJECT,
    WINDOW,
    ban_of,
    make_session,
)
from tests.stores.steps import (
    Act,
    Step,
    add,
    check,
    check_writable,
    end,
    end_all,
    erase,
    play,
    purge,
    put,
    rotate,
    run,
    touch,
)

TOMBSTONE_LIFE = 7 * DAY
EXPIRED, LOGGED_OUT = Ended(EndReason.EXPIRED), Ended(EndReason.LOGGED_OUT)
LAST = NOW + IDLE - SECOND
MOVED = NOW + 10 * DAY + IDLE
ENDED_AT = NOW + HOUR
FORGOTTEN, EXPIRY_FORGOTTEN = ENDED_AT + TOMBSTONE_LIFE, NOW + IDLE + TOMBSTONE_LIFE
STORIES: dict[str, list[Step]] = {
    "a session is active in the second before its end": [
        *((touch(0, LAST), Active), (rotate(0, LAST), Rotated))
    ],
    "a session has expired at the second of its end": [
        *((touch(0, NOW + IDLE), EXPIRED), (rotate(0, NOW + IDLE), EXPIRED))
    ],
    "a used token of an expired session is reported as expired": [
        *((rotate(0), Rotated), (rotate(1), Rotated), (rotate(0, NOW + IDLE), EXPIRED))
    ],
    "a refresh moves the idle limit": [
        (rotate(0, NOW + 10 * DAY), Rotated),
        *((touch(1, MOVED - SECOND), Active), (touch(1, MOVED), EXPIRED)),
    ],
    "a replay and a touch do not move the idle limit": [
        *((rotate(0), Rotated), (rotate(0, NOW + WINDOW - SECOND), Replayed)),
        *((touch(1, LAST), Active), (touch(1, NOW + IDLE), EXPIRED)),
    ],
    "the first end reason stays": [
        (end(), Ended(EndReason.LOGGED_OUT, changed=True)),
        *((end(EndReason.REVOKED), LOGGED_OUT), (touch(0, NOW + ABSOLUTE), LOGGED_OUT)),
    ],
    "a check of the predecessor leaves the recovery window open": [
        *((rotate(0), Rotated), (check(0), Bearer(SUBJECT, None)), (rotate(0), Replayed))
    ],
    "a check of the current generation closes the recovery window": [
        *((rotate(0), Rotated), (check(1), Bearer(SUBJECT, None)), (rotate(0), Reused))
    ],
    "an end reason is kept for seven days": [
        *((end(at=ENDED_AT), Ended), (purge(FORGOTTEN - SECOND), 0)),
        *((touch(0, FORGOTTEN - SECOND), LOGGED_OUT), (purge(FORGOTTEN), 1)),
        *((touch(0, FORGOTTEN), Unknown()), (rotate(0, FORGOTTEN), Unknown())),
    ],
    "an expiry is kept for seven days": [
        (purge(EXPIRY_FORGOTTEN - SECOND), 0),
        (touch(0, EXPIRY_FORGOTTEN - SECOND), EXPIRED),
        *((purge(EXPIRY_FORGOTTEN), 1), (touch(0, EXPIRY_FORGOTTEN), Unknown())),
    ],
    "checking the store changes no session": [
        *((check_writable(), None), (touch(0), Active(make_session())))
    ],
}


@pytest.mark.parametrize("steps", STORIES.values(), ids=STORIES)
async def test_a_session_has_these_outcomes(store: Stores, steps: list[Step]) -> None:
    await run(store, add())
    await play(store, *steps)


async def test_no_refresh_moves_a_session_past_its_absolute_limit(store: Stores) -> None:
    await run(store, add())
    limit = NOW + ABSOLUTE
    moments = [NOW + 10 * DAY, NOW + 20 * DAY, limit - HOUR, limit - SECOND]
    for generation, at in enumerate(moments):
        rotated = await rotate(generation, at)(store)
        assert isinstance(rotated, Rotated)
        assert rotated.session.expires_at == min(at + IDLE, limit)
        assert rotated.session.absolute_expires_at == limit
        assert await store.maintenance.purge(at) == 0
        assert await store.sessions.active_sessions(SUBJECT, at) == [rotated.session]
    await play(store, (rotate(len(moments), limit), EXPIRED))


@pytest.mark.parametrize("reason", EndReason)
async def test_an_ended_session_gives_its_reason_to_every_generation(
    store: Stores, reason: EndReason
) -> None:
    await run(store, add(generation=5))
    await play(store, (end(reason), Ended(reason, changed=True)))
    for generation in (0, 4, 5, 6, 9):
        told = Ended(reason)
        await play(store, *((act(generation), told) for act in (touch, rotate, check)))


AHEAD = NOW + IDLE + 5 * SECOND


@pytest.mark.parametrize(
    ("reason", "act"),
    [
        (EndReason.LOGGED_OUT, end(at=AHEAD)),
        (EndReason.KICKED, end_all(at=AHEAD)),
        (EndReason.BANNED, put(ban_of(at=AHEAD))),
        (EndReason.ERASED, erase(AHEAD)),
    ],
)
async def test_an_end_is_written_once_also_when_the_clock_says_expired(
    store: Stores, reason: EndReason, act: Act
) -> None:
    await run(store, add())
    assert await act(store) in (["session-a"], Ended(reason, changed=True))
    await play(store, (rotate(0, LAST), Ended(reason)), (touch(0, AHEAD), Ended(reason)))
    assert await act(store) in ([], Ended(reason), Unknown())


async def test_a_check_tells_the_user_and_the_device_type(store: Stores) -> None:
    await run(store, add(device_type="ios"))
    bearer = Bearer(SUBJECT, "ios")
    await play(store, *((check(*at), bearer) for at in ((0, NOW), (0, LAST), (5, LAST))))
    await play(store, (check(0, NOW + IDLE), EXPIRED))


async def test_about_as_many_sessions_are_counted_as_have_not_ended(store: Stores) -> None:
    assert await store.maintenance.count_sessions(NOW) == 0
    users = [f"user-{number}" for number in range(200)]  # the names of the sessions as well
    await run(store, *(add(user, subject=user) for user in users))
    await run(store, *(end(session_id=user, subject=user) for user in users[::4]))
    assert 90 <= (await store.maintenance.count_sessions(NOW) or 0) <= 210
    assert await store.maintenance.count_sessions(NOW + IDLE) == 0
