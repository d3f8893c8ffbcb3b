"""When a session is over, and that its first end reason stays."""

from collections.abc import Awaitable, Callable
from datetime import datetime

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
    keep,
    make_session,
    rotation_of,
)

TOMBSTONE_LIFE = 7 * DAY


# --- limits ---


async def test_a_session_is_active_in_the_second_before_its_end(store: Stores) -> None:
    await keep(store, make_session())
    last = NOW + IDLE - SECOND
    assert isinstance(await store.sessions.touch("session-a", 0, last), Active)
    assert isinstance(await store.sessions.rotate(rotation_of(0, at=last)), Rotated)


async def test_a_session_has_expired_at_the_second_of_its_end(store: Stores) -> None:
    await keep(store, make_session())
    assert await store.sessions.touch("session-a", 0, NOW + IDLE) == Ended(EndReason.EXPIRED)
    assert await store.sessions.rotate(rotation_of(0, at=NOW + IDLE)) == Ended(EndReason.EXPIRED)


async def test_a_used_token_of_an_expired_session_is_reported_as_expired(store: Stores) -> None:
    await keep(store, make_session(generation=5))
    assert await store.sessions.rotate(rotation_of(2, at=NOW + IDLE)) == Ended(EndReason.EXPIRED)


async def test_a_refresh_moves_the_idle_limit(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0, at=NOW + 10 * DAY))
    assert isinstance(
        await store.sessions.touch("session-a", 1, NOW + 10 * DAY + IDLE - SECOND), Active
    )
    assert await store.sessions.touch("session-a", 1, NOW + 10 * DAY + IDLE) == Ended(
        EndReason.EXPIRED
    )


async def test_no_refresh_moves_a_session_past_its_absolute_limit(store: Stores) -> None:
    await keep(store, make_session())
    end = NOW + ABSOLUTE
    moments = [NOW + 10 * DAY, NOW + 20 * DAY, end - HOUR, end - SECOND]
    for generation, at in enumerate(moments):
        rotated = await store.sessions.rotate(rotation_of(generation, at=at))
        assert isinstance(rotated, Rotated)
        assert rotated.session.expires_at == min(at + IDLE, end)
        assert rotated.session.absolute_expires_at == end
    assert await store.sessions.rotate(rotation_of(len(moments), at=end)) == Ended(
        EndReason.EXPIRED
    )


async def test_a_replay_and_a_touch_do_not_move_the_idle_limit(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    await store.sessions.rotate(rotation_of(0, at=NOW + WINDOW - SECOND))
    await store.sessions.touch("session-a", 1, NOW + IDLE - SECOND)
    assert await store.sessions.touch("session-a", 1, NOW + IDLE) == Ended(EndReason.EXPIRED)


# --- ended ---


@pytest.mark.parametrize("reason", EndReason)
async def test_an_ended_session_gives_its_reason_to_every_generation(
    store: Stores, reason: EndReason
) -> None:
    await keep(store, make_session(generation=5))
    assert await store.sessions.end("session-a", SUBJECT, reason, NOW) == Ended(
        reason, changed=True
    )
    for generation in (0, 4, 5, 6, 9):
        assert await store.sessions.touch("session-a", generation, NOW) == Ended(reason)
        assert await store.sessions.rotate(rotation_of(generation)) == Ended(reason)


async def test_the_first_end_reason_stays(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.end("session-a", SUBJECT, EndReason.LOGGED_OUT, NOW)
    again = await store.sessions.end("session-a", SUBJECT, EndReason.REVOKED, NOW)
    assert again == Ended(EndReason.LOGGED_OUT, changed=False)
    assert await store.sessions.touch("session-a", 0, NOW + ABSOLUTE) == Ended(EndReason.LOGGED_OUT)


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        (
            EndReason.LOGGED_OUT,
            lambda store, at: store.sessions.end("session-a", SUBJECT, EndReason.LOGGED_OUT, at),
        ),
        (EndReason.KICKED, lambda store, at: store.sessions.end_all(SUBJECT, EndReason.KICKED, at)),
        (EndReason.BANNED, lambda store, at: store.bans.put(ban_of(at=at))),
        (EndReason.ERASED, lambda store, at: store.sessions.erase(SUBJECT, at)),
    ],
)
async def test_an_end_is_written_once_also_when_the_clock_says_expired(
    store: Stores, reason: EndReason, end: Callable[[Stores, datetime], Awaitable[object]]
) -> None:
    await keep(store, make_session())
    ahead = NOW + IDLE + 5 * SECOND
    assert await end(store, ahead) in (["session-a"], Ended(reason, changed=True))
    assert await store.sessions.rotate(rotation_of(0, at=NOW + IDLE - SECOND)) == Ended(reason)
    assert await store.sessions.touch("session-a", 0, ahead) == Ended(reason)
    assert await end(store, ahead) in ([], Ended(reason), Unknown())


async def test_ending_a_session_that_never_existed_is_unknown(store: Stores) -> None:
    assert await store.sessions.end("session-a", SUBJECT, EndReason.LOGGED_OUT, NOW) == Unknown()
    assert await store.sessions.touch("session-a", 0, NOW) == Unknown()


# --- forgotten ---


async def _is_told(store: Stores, session_id: str, ending: EndReason, at: datetime) -> bool:
    return await store.sessions.touch(session_id, 0, at) == Ended(ending)


async def test_an_end_reason_is_kept_for_seven_days(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.end("session-a", SUBJECT, EndReason.LOGGED_OUT, NOW + HOUR)
    forgotten = NOW + HOUR + TOMBSTONE_LIFE
    assert await store.maintenance.purge(forgotten - SECOND) == 0
    assert await _is_told(store, "session-a", EndReason.LOGGED_OUT, forgotten - SECOND)
    assert await store.maintenance.purge(forgotten) == 1
    assert await store.sessions.touch("session-a", 0, forgotten) == Unknown()
    assert await store.sessions.rotate(rotation_of(0, at=forgotten)) == Unknown()


async def test_an_expiry_is_kept_for_seven_days(store: Stores) -> None:
    await keep(store, make_session())
    forgotten = NOW + IDLE + TOMBSTONE_LIFE
    assert await store.maintenance.purge(forgotten - SECOND) == 0
    assert await _is_told(store, "session-a", EndReason.EXPIRED, forgotten - SECOND)
    assert await store.maintenance.purge(forgotten) == 1
    assert await store.sessions.touch("session-a", 0, forgotten) == Unknown()


async def test_a_purge_keeps_a_session_listed_until_its_absolute_limit(store: Stores) -> None:
    await keep(store, make_session())
    for generation, day in enumerate((10, 20, 29)):
        at = NOW + day * DAY
        assert isinstance(await store.sessions.rotate(rotation_of(generation, at=at)), Rotated)
    last = NOW + ABSOLUTE - SECOND
    assert await store.maintenance.purge(last) == 0
    assert [each.id for each in await store.sessions.active_sessions(SUBJECT, last)] == [
        "session-a"
    ]


async def test_check_writable_changes_no_session(store: Stores) -> None:
    session = make_session()
    await keep(store, session)
    await store.maintenance.check_writable()
    assert await store.sessions.touch("session-a", 0, NOW) == Active(session)


async def test_about_as_many_sessions_are_counted_as_have_not_ended(store: Stores) -> None:
    assert await store.maintenance.count_sessions(NOW) == 0
    for number in range(200):
        await keep(store, make_session(f"session-{number}", subject=f"user-{number}"))
    for number in range(0, 200, 4):
        subject = f"user-{number}"
        await store.sessions.end(f"session-{number}", subject, EndReason.LOGGED_OUT, NOW)
    assert 90 <= (await store.maintenance.count_sessions(NOW) or 0) <= 210
    assert await store.maintenance.count_sessions(NOW + IDLE) == 0


# --- the check of an access token ---


async def test_a_check_tells_the_user_and_the_device_type_until_the_session_ends(
    store: Stores,
) -> None:
    await keep(store, make_session(device_type="ios"))
    bearer = Bearer(SUBJECT, "ios")
    last = NOW + IDLE - SECOND
    for generation, at in [(0, NOW), (0, last), (5, last)]:
        assert await store.sessions.check("session-a", generation, at) == bearer
    assert await store.sessions.check("session-a", 0, NOW + IDLE) == Ended(EndReason.EXPIRED)
    await store.sessions.end("session-a", SUBJECT, EndReason.KICKED, NOW)
    assert await store.sessions.check("session-a", 0, NOW) == Ended(EndReason.KICKED)
    assert await store.sessions.check("nothing", 0, NOW) == Unknown()


@pytest.mark.parametrize(("generation", "again"), [(0, Replayed), (1, Reused)])
async def test_a_check_of_the_current_generation_closes_the_recovery_window(
    store: Stores, generation: int, again: type
) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    assert await store.sessions.check("session-a", generation, NOW) == Bearer(SUBJECT, None)
    assert isinstance(await store.sessions.rotate(rotation_of(0)), again)
