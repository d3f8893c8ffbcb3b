"""A presented refresh token leads to its one successor, to that successor again, or to the end.

Generations decide. The clock only bounds how long a predecessor may be replayed.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, Ended, Replayed, Reused, ReuseKind, Rotated, Unknown
from app.sessions.ports import Stores
from tests.stores.builders import HOUR, IDLE, NOW, SECOND, WINDOW, keep, make_session, rotation_of

RECENT = NOW + HOUR


async def test_the_current_token_rotates_to_the_next_generation(store: Stores) -> None:
    session = make_session()
    await keep(store, session)
    rotated = await store.sessions.rotate(rotation_of(0, at=RECENT, secret_kid="third"))
    assert rotated == Rotated(
        replace(
            session, generation=1, secret_kid="third", last_used_at=RECENT, expires_at=RECENT + IDLE
        )
    )


async def test_the_session_that_a_rotation_returns_is_stored(store: Stores) -> None:
    await keep(store, make_session())
    rotated = await store.sessions.rotate(rotation_of(0, at=RECENT))
    assert isinstance(rotated, Rotated)
    assert await store.sessions.touch("session-a", 1, RECENT) == Active(rotated.session)


async def test_rotations_within_one_second_are_told_apart(store: Stores) -> None:
    await keep(store, make_session())
    for generation in range(3):
        assert isinstance(await store.sessions.rotate(rotation_of(generation)), Rotated)
    assert isinstance(await store.sessions.rotate(rotation_of(2)), Replayed)
    assert await store.sessions.rotate(rotation_of(1)) == Reused("stale")


async def test_a_session_that_never_existed_is_unknown(store: Stores) -> None:
    await keep(store, make_session("session-b"))
    assert await store.sessions.rotate(rotation_of(0)) == Unknown()
    assert await store.sessions.touch("session-a", 0, NOW) == Unknown()


# --- the predecessor comes back ---


async def test_the_predecessor_gets_the_same_successor_every_time(store: Stores) -> None:
    await keep(store, make_session())
    rotated = await store.sessions.rotate(rotation_of(0, at=RECENT))
    assert isinstance(rotated, Rotated)
    for minute in range(5):
        at = RECENT + minute * timedelta(minutes=1)
        again = await store.sessions.rotate(rotation_of(0, at=at, secret_kid="another"))
        assert again == Replayed(rotated.session, replays=minute + 1)


async def test_replays_are_counted_in_each_generation_and_replayed_generations_in_a_row(
    store: Stores,
) -> None:
    await keep(store, make_session())
    counts = []
    for generation, replays in enumerate((2, 1, 0, 1)):
        await store.sessions.rotate(rotation_of(generation))
        for _ in range(replays):
            again = await store.sessions.rotate(rotation_of(generation))
            assert isinstance(again, Replayed)
            counts.append((again.replays, again.replayed_generations))
    assert counts == [(1, 1), (2, 1), (1, 2), (1, 1)]


async def test_the_successor_still_rotates_after_a_replay(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    await store.sessions.rotate(rotation_of(0))
    rotated = await store.sessions.rotate(rotation_of(1))
    assert isinstance(rotated, Rotated)
    assert rotated.session.generation == 2


async def test_touching_the_successor_closes_the_window(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    assert isinstance(await store.sessions.touch("session-a", 1, NOW), Active)
    assert await store.sessions.rotate(rotation_of(0)) == Reused("recent_previous")
    assert await store.sessions.rotate(rotation_of(1)) == Ended(EndReason.REFRESH_REUSED)


async def test_touching_the_successor_twice_leaves_the_session_active(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    first = await store.sessions.touch("session-a", 1, NOW)
    assert await store.sessions.touch("session-a", 1, NOW) == first
    assert isinstance(await store.sessions.rotate(rotation_of(1)), Rotated)


async def test_an_access_token_of_the_predecessor_does_not_close_the_window(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    assert isinstance(await store.sessions.touch("session-a", 0, NOW), Active)
    assert isinstance(await store.sessions.rotate(rotation_of(0)), Replayed)


async def test_refreshing_with_the_successor_closes_the_window(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    await store.sessions.rotate(rotation_of(1))
    assert await store.sessions.rotate(rotation_of(0)) == Reused("stale")
    assert await store.sessions.rotate(rotation_of(2)) == Ended(EndReason.REFRESH_REUSED)


async def test_each_rotation_opens_a_window_of_its_own(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    await store.sessions.touch("session-a", 1, NOW)
    await store.sessions.rotate(rotation_of(1))
    assert isinstance(await store.sessions.rotate(rotation_of(1)), Replayed)


async def test_the_window_is_over_at_its_end_even_if_the_successor_is_unused(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0, at=RECENT))
    outcome = await store.sessions.rotate(rotation_of(0, at=RECENT + WINDOW))
    assert outcome == Reused("recent_previous")
    assert await store.sessions.touch("session-a", 1, RECENT + WINDOW) == Ended(
        EndReason.REFRESH_REUSED
    )


async def test_a_replay_does_not_make_the_window_longer(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    assert isinstance(
        await store.sessions.rotate(rotation_of(0, at=NOW + WINDOW - SECOND)), Replayed
    )
    assert await store.sessions.rotate(rotation_of(0, at=NOW + WINDOW)) == Reused("recent_previous")


async def test_without_a_window_every_replay_is_a_reuse(store: Stores) -> None:
    await keep(store, make_session())
    strict = rotation_of(0, window=timedelta(0))
    assert isinstance(await store.sessions.rotate(strict), Rotated)
    assert await store.sessions.rotate(strict) == Reused("recent_previous")
    assert await store.sessions.rotate(strict) == Ended(EndReason.REFRESH_REUSED)


# --- an idempotency key of the refresh ---


async def test_a_rotation_with_a_key_is_replayed_to_the_same_key(store: Stores) -> None:
    await keep(store, make_session())
    rotated = await store.sessions.rotate(rotation_of(0, key="key-a"))
    assert isinstance(rotated, Rotated)
    again = await store.sessions.rotate(rotation_of(0, key="key-a"))
    assert again == Replayed(rotated.session)


@pytest.mark.parametrize(
    ("first", "second"), [("key-a", None), ("key-a", "key-b"), (None, "key-a")]
)
async def test_a_rotation_is_reuse_to_another_key_to_none_and_to_the_first_one(
    store: Stores, first: str | None, second: str | None
) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0, key=first))
    assert await store.sessions.rotate(rotation_of(0, key=second)) == Reused("other_key")
    assert await store.sessions.rotate(rotation_of(1)) == Ended(EndReason.REFRESH_REUSED)


async def test_only_the_key_of_the_last_rotation_counts(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0, key="key-a"))
    await store.sessions.rotate(rotation_of(1))
    assert isinstance(await store.sessions.rotate(rotation_of(1)), Replayed)


async def test_the_right_key_does_not_reopen_a_closed_window(store: Stores) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0, key="key-a"))
    await store.sessions.touch("session-a", 1, NOW)
    outcome = await store.sessions.rotate(rotation_of(0, key="key-a"))
    assert outcome == Reused("recent_previous")


# --- a dry run ---


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
    await keep(store, make_session(generation=4))
    await store.sessions.rotate(rotation_of(4, key=key))
    before = await store.sessions.touch("session-a", touched, RECENT)
    told = await store.sessions.rotate(rotation_of(presented, at=RECENT, dry_run=True))
    assert isinstance(told, outcome)
    if isinstance(told, Rotated | Replayed):
        assert Active(told.session) == before
    assert await store.sessions.touch("session-a", 0, RECENT) == before
    assert type(await store.sessions.rotate(rotation_of(presented, at=RECENT))) is outcome


# --- neither the current token nor its predecessor ---


@pytest.mark.parametrize(
    ("presented", "kind"), [(0, "stale"), (3, "stale"), (7, "ahead"), (4_000_000_000, "ahead")]
)
async def test_a_token_from_elsewhere_in_the_chain_ends_the_session(
    store: Stores, presented: int, kind: ReuseKind
) -> None:
    await keep(store, make_session(generation=5))
    assert await store.sessions.rotate(rotation_of(presented)) == Reused(kind)
    assert await store.sessions.rotate(rotation_of(5)) == Ended(EndReason.REFRESH_REUSED)


async def test_a_reuse_ends_no_other_session_of_the_user(store: Stores) -> None:
    await keep(store, make_session("session-a", generation=2))
    await keep(store, make_session("session-b", generation=2))
    assert await store.sessions.rotate(rotation_of(0, session_id="session-a")) == Reused("stale")
    assert isinstance(await store.sessions.rotate(rotation_of(2, session_id="session-b")), Rotated)


async def test_a_token_one_ahead_of_a_store_that_lost_a_write_is_rolled_forward(
    store: Stores,
) -> None:
    session = make_session(generation=5)
    await keep(store, session)
    rolled_forward = await store.sessions.rotate(rotation_of(6, at=RECENT))
    assert isinstance(rolled_forward, Rotated)
    assert rolled_forward.rolled_forward is True
    assert rolled_forward.session.generation == 7
    assert rolled_forward.session.expires_at == RECENT + IDLE


async def test_a_token_that_was_rolled_forward_is_rolled_forward_once(store: Stores) -> None:
    await keep(store, make_session(generation=5))
    rolled_forward = await store.sessions.rotate(rotation_of(6))
    assert isinstance(rolled_forward, Rotated)
    assert await store.sessions.rotate(rotation_of(6)) == Replayed(rolled_forward.session)
    assert await store.sessions.rotate(rotation_of(5)) == Reused("stale")
