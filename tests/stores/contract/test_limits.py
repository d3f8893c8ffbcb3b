"""How many sessions a user may have: which one is replaced, and by which device type."""

from datetime import UTC, datetime
from typing import TypeAlias

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, AlreadyUsed, Ended, Opened
from app.sessions.ports import SessionLimits, Stores
from tests.stores.builders import IDLE, NOW, ONE, ONE_PER_TYPE, SECOND, UNLIMITED, lease_of
from tests.stores.steps import Act, acquire, active_ids, add, create, end, play, run, touch

TWO = SessionLimits(max_per_user=2, one_per_device_type=False)
BOTH = SessionLimits(max_per_user=2, one_per_device_type=True)
Login: TypeAlias = tuple[int, SessionLimits, str | None, list[int]]
"""At this second, under these limits, with this device type; and the sessions that it replaces."""


def log_in(second: int, limits: SessionLimits, device_type: str | None = None) -> Act:
    """Create session-{second} then."""
    return add(
        f"session-{second}", limits, created_at=NOW + second * SECOND, device_type=device_type
    )


LOGINS: dict[str, tuple[list[Login], list[int]]] = {
    "a session below the limit replaces no other": (
        [(second, UNLIMITED, "ios", []) for second in range(20)],
        [*range(20)],
    ),
    "the oldest session is replaced at the limit": (
        [(1, TWO, None, []), (2, TWO, None, []), (3, TWO, None, [1])],
        [2, 3],
    ),
    "a lowered limit replaces the oldest sessions first": (
        [*((second, UNLIMITED, None, []) for second in (3, 1, 4, 2)), (5, TWO, None, [1, 2, 3])],
        [4, 5],
    ),
    "a second phone of a type replaces the first": (
        [
            (1, ONE_PER_TYPE, "ios", []),
            (2, ONE_PER_TYPE, "android", []),
            (3, ONE_PER_TYPE, "ios", [1]),
        ],
        [2, 3],
    ),
    "phones of unknown type replace no session": (
        [(1, ONE_PER_TYPE, None, []), (2, ONE_PER_TYPE, "ios", []), (3, ONE_PER_TYPE, None, [])],
        [1, 2, 3],
    ),
    "under both limits the same type goes first and then the oldest": (
        [
            *((1, BOTH, "android", []), (2, BOTH, "ios", []), (3, BOTH, "ios", [2])),
            (4, BOTH, None, [1]),
        ],
        [3, 4],
    ),
    "under both limits a surplus goes together with the same type": (
        [
            *((1, UNLIMITED, "android", []), (2, UNLIMITED, "ios", []), (3, UNLIMITED, None, [])),
            *((4, UNLIMITED, "ios", []), (5, BOTH, "ios", [1, 2, 4])),
        ],
        [3, 5],
    ),
}


@pytest.mark.parametrize(("logins", "left"), LOGINS.values(), ids=LOGINS)
async def test_logins_replace_these_sessions(
    store: Stores, logins: list[Login], left: list[int]
) -> None:
    for second, limits, device_type, replaced in logins:
        ids = await log_in(second, limits, device_type)(store)
        assert isinstance(ids, list)
        assert sorted(ids) == [f"session-{number}" for number in replaced]
    active = [f"session-{number}" for number in left]
    await play(store, (active_ids(NOW + 100 * SECOND), active))


async def test_the_first_written_session_of_one_second_is_the_oldest(store: Stores) -> None:
    await play(store, (add("z", TWO), []), (add("a", TWO), []), (add("m", TWO), ["z"]))


async def test_an_ended_session_does_not_count_towards_the_limit(store: Stores) -> None:
    await run(store, log_in(1, TWO), log_in(2, TWO), end(session_id="session-2"))
    later = NOW + IDLE + 3 * SECOND
    await play(
        store,
        *((log_in(3, TWO), []), (add("later", TWO, created_at=later, expires_at=later + IDLE), [])),
        (touch(0, later, "session-1"), Ended(EndReason.EXPIRED)),
    )


async def test_sessions_of_another_user_do_not_count_towards_the_limit(store: Stores) -> None:
    others = [add(name, BOTH, subject=name, device_type="ios") for name in ("user-1", "user-2")]
    await run(store, *others)
    await play(store, (log_in(3, BOTH, "ios"), []))


@pytest.mark.parametrize("newcomer", ["ios", None])
async def test_a_replaced_session_names_the_device_type_that_replaced_it(
    store: Stores, newcomer: str | None
) -> None:
    await run(store, log_in(1, ONE, "android"), log_in(2, ONE, newcomer))
    told = Ended(EndReason.REPLACED, replaced_by=newcomer)
    await play(store, (touch(0, NOW, "session-1"), told), (end(session_id="session-1"), told))


async def test_a_login_with_a_used_ticket_replaces_no_session(store: Stores) -> None:
    lease = lease_of()
    await play(
        store,
        *((acquire(lease), object), (create(lease, "session-a", ONE), Opened([]))),
        *((create(lease, "session-b", ONE), AlreadyUsed(None)), (touch(0), Active)),
    )


async def test_a_login_by_a_clock_that_is_ahead_ends_no_session_as_expired(store: Stores) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    for name, at in (("first", now), ("second", now + SECOND), ("ahead", now + 2 * IDLE)):
        await run(store, add(name, TWO, created_at=at, expires_at=at + IDLE, device_type="ios"))
    await play(store, (touch(0, now, "second"), Active))
