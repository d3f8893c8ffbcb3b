"""A presented refresh token leads to its one successor, to that successor again, or to the end.

Generations decide. The clock only bounds how long a predecessor may be replayed.
"""

from datetime import timedelta
from typing import Any

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, Ended, Replayed, Reused, ReuseKind, Rotated, Unknown
from app.sessions.ports import Stores
from tests.stores.builders import HOUR, IDLE, NOW, SECOND, WINDOW, make_session
from tests.stores.steps import Step, add, check, end, play, rotate, run, touch

RECENT = NOW + HOUR
RECENT_PREVIOUS = Reused("recent_previous")
REUSE_ENDED_IT = Ended(EndReason.REFRESH_REUSED)


async def test_the_current_token_rotates_to_the_next_generation(store: Stores) -> None:
    await run(store, add())
    changes: dict[str, Any] = {
        "secret_kid": "third",
        "last_used_at": RECENT,
        "expires_at": RECENT + IDLE,
    }
    rotated = make_session(generation=1, **changes)
    rotate_once = rotate(0, RECENT, secret_kid="third")
    await play(store, (rotate_once, Rotated(rotated)), (touch(1, RECENT), Active(rotated)))


async def test_a_session_that_never_existed_is_unknown(store: Stores) -> None:
    await run(store, add("session-b"))
    await play(store, *((act, Unknown()) for act in (rotate(0), touch(0), check(0), end())))


STRICT = rotate(0, window=timedelta(0))
WITH_KEY = rotate(0, key="key-a")
FROM_GENERATION_0: dict[str, list[Step]] = {
    "rotations within one second are told apart": [
        *((rotate(generation), Rotated) for generation in range(3)),
        (rotate(2), Replayed),
        (rotate(1), Reused("stale")),
    ],
    "the successor still rotates after a replay": [
        *((rotate(0), Rotated), (rotate(0), Replayed), (rotate(1), Rotated), (touch(2), Active))
    ],
    "touching the successor closes the window": [
        *((rotate(0), Rotated), (touch(1), Active), (rotate(0), RECENT_PREVIOUS)),
        (rotate(1), REUSE_ENDED_IT),
    ],
    "touching the successor twice leaves the session active": [
        *((rotate(0), Rotated), (touch(1), Active), (touch(1), Active), (rotate(1), Rotated))
    ],
    "an access token of the predecessor does not close the window": [
        *((rotate(0), Rotated), (touch(0), Active), (rotate(0), Replayed))
    ],
    "refreshing with the successor closes the window": [
        *((rotate(0), Rotated), (rotate(1), Rotated), (rotate(0), Reused("stale"))),
        (rotate(2), REUSE_ENDED_IT),
    ],
    "each rotation opens a window of its own": [
        *((rotate(0), Rotated), (touch(1), Active), (rotate(1), Rotated), (rotate(1), Replayed))
    ],
    "the window is over at its end even if the successor is unused": [
        *((rotate(0, RECENT), Rotated), (rotate(0, RECENT + WINDOW), RECENT_PREVIOUS)),
        (touch(1, RECENT + WINDOW), REUSE_ENDED_IT),
    ],
    "a replay does not make the window longer": [
        *((rotate(0), Rotated), (rotate(0, NOW + WINDOW - SECOND), Replayed)),
        (rotate(0, NOW + WINDOW), RECENT_PREVIOUS),
    ],
    "without a window every replay is a reuse": [
        *((STRICT, Rotated), (STRICT, RECENT_PREVIOUS), (STRICT, REUSE_ENDED_IT))
    ],
    "a rotation with a key is replayed to the same key": [
        (WITH_KEY, Rotated),
        (WITH_KEY, Replayed),
    ],
    "to no key it is reuse": [
        *((WITH_KEY, Rotated), (rotate(0), Reused("other_key")), (rotate(1), REUSE_ENDED_IT))
    ],
    "to another key it is reuse": [(WITH_KEY, Rotated), (rotate(0, key="b"), Reused("other_key"))],
    "to a first key it is reuse": [(rotate(0), Rotated), (WITH_KEY, Reused("other_key"))],
    "only the key of the last rotation counts": [
        *((WITH_KEY, Rotated), (rotate(1), Rotated), (rotate(1), Replayed))
    ],
    "the right key does not reopen a closed window": [
        *((WITH_KEY, Rotated), (touch(1), Active), (WITH_KEY, RECENT_PREVIOUS))
    ],
}


@pytest.mark.parametrize("steps", FROM_GENERATION_0.values(), ids=FROM_GENERATION_0)
async def test_a_chain_of_tokens_has_these_outcomes(store: Stores, steps: list[Step]) -> None:
    await run(store, add())
    await play(store, *steps)


async def test_the_predecessor_gets_the_same_successor_every_time(store: Stores) -> None:
    await run(store, add())
    rotated = await rotate(0, RECENT)(store)
    assert isinstance(rotated, Rotated)
    for number in range(5):
        again = rotate(0, RECENT + number * 60 * SECOND, secret_kid="another")
        await play(store, (again, Replayed(rotated.session, replays=number + 1)))


async def test_replays_are_counted_in_each_generation_and_replayed_generations_in_a_row(
    store: Stores,
) -> None:
    await run(store, add())
    counts = []
    for generation, replays in enumerate((2, 1, 0, 1)):
        await run(store, rotate(generation))
        for _ in range(replays):
            again = await rotate(generation)(store)
            assert isinstance(again, Replayed)
            counts.append((again.replays, again.replayed_generations))
    assert counts == [(1, 1), (2, 1), (1, 2), (1, 1)]


@pytest.mark.parametrize(
    ("presented", "touched", "key", "outcome"),
    [
        *((5, 5, None, Rotated), (6, 5, None, Rotated), (4, 4, None, Replayed)),
        *((4, 5, None, Reused), (4, 4, "key-a", Reused), (3, 4, None, Reused)),
        (7, 4, None, Reused),
    ],
)
async def test_a_dry_run_tells_what_a_rotation_would_do_and_changes_nothing(
    store: Stores, presented: int, touched: int, key: str | None, outcome: type
) -> None:
    await run(store, add(generation=4), rotate(4, key=key))
    before = await touch(touched, RECENT)(store)
    told = await rotate(presented, RECENT, dry_run=True)(store)
    assert isinstance(told, outcome)
    if isinstance(told, Rotated | Replayed):
        assert Active(told.session) == before
    await play(store, (touch(0, RECENT), before), (rotate(presented, RECENT), outcome))


@pytest.mark.parametrize(
    ("presented", "kind"), [(0, "stale"), (3, "stale"), (7, "ahead"), (4_000_000_000, "ahead")]
)
async def test_a_token_from_elsewhere_in_the_chain_ends_its_session_only(
    store: Stores, presented: int, kind: ReuseKind
) -> None:
    await run(store, add(generation=5), add("session-b", generation=5))
    await play(
        store,
        *((rotate(presented), Reused(kind)), (rotate(5), REUSE_ENDED_IT)),
        (rotate(5, session_id="session-b"), Rotated),
    )


async def test_a_token_one_ahead_of_a_store_that_lost_a_write_is_rolled_forward_once(
    store: Stores,
) -> None:
    await run(store, add(generation=5))
    forward = await rotate(6, RECENT)(store)
    assert isinstance(forward, Rotated)
    assert forward.rolled_forward
    assert (forward.session.generation, forward.session.expires_at) == (7, RECENT + IDLE)
    await play(store, (rotate(6), Replayed(forward.session)), (rotate(5), Reused("stale")))
