"""The history: what each change leaves in it, and for how long."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.errors import NotFound
from app.sessions.history import HistoryEvent, HistoryService
from app.sessions.models import EndReason, Proof, epoch
from app.sessions.ports import Stores
from tests.stores.builders import (
    ABSOLUTE,
    DAY,
    HOUR,
    IDLE,
    NOW,
    ONE,
    ONE_PER_TYPE,
    SECOND,
    SUBJECT,
    UNLIMITED,
    ban_of,
    lease_of,
    make_session,
)
from tests.stores.steps import (
    Act,
    acquire,
    add,
    create,
    end,
    end_all,
    erase,
    lift,
    purge,
    put,
    rotate,
    run,
    touch,
)
from tests.support.proofs import proof_of

LATER = NOW + HOUR
TTL = 7 * DAY


def service(store: Stores, at: datetime, ttl: timedelta = TTL) -> HistoryService:
    return HistoryService(store.history, lambda: at, ttl)


async def history(store: Stores, at: datetime = LATER) -> Sequence[HistoryEvent]:
    """The history of the user. That of each session is the same."""
    told = await service(store, at).of_user(SUBJECT)
    for session_id in {each["session_id"] for each in told if "session_id" in each}:
        alone = [each for each in told if each.get("session_id") == session_id]
        assert await service(store, at).of_session(session_id) == alone
    return told


async def events(store: Stores, at: datetime = LATER) -> list[tuple[str, str, int]]:
    told = await history(store, at)
    return [(each["event"], each.get("kind", ""), each.get("count", 1)) for each in told]


async def unknown(store: Stores, at: datetime = LATER, ttl: timedelta = TTL) -> bool:
    for ask in (
        service(store, at, ttl).of_user(SUBJECT),
        service(store, at, ttl).of_session("session-a"),
    ):
        with pytest.raises(NotFound):
            await ask
    return True


REVOKED, REPLACED = EndReason.REVOKED, EndReason.REPLACED
NEWER: dict[str, Any] = {"device_type": "ios", "created_at": LATER}
ENDS: list[tuple[EndReason, tuple[str, str, str], Act]] = [
    (EndReason.LOGGED_OUT, ("this_device", "", ""), end(at=LATER)),
    (REVOKED, ("this_device", "", "session-a"), end(REVOKED, LATER, by="session-a")),
    (REVOKED, ("other_device", "", "session-b"), end(REVOKED, LATER, by="session-b")),
    (REVOKED, ("other_device", "", "session-b"), end_all(REVOKED, LATER, by="session-b")),
    (EndReason.KICKED, ("service", "", ""), end_all(at=LATER)),
    (EndReason.ACCOUNT_BLOCKED, ("authing", "", ""), end_all(EndReason.ACCOUNT_BLOCKED, LATER)),
    (EndReason.BANNED, ("ban", "", ""), put(ban_of(at=LATER))),
    (REPLACED, ("limit", "max_per_user", ""), add("session-b", ONE, **NEWER)),
    (REPLACED, ("limit", "one_per_device_type", ""), add("session-b", ONE_PER_TYPE, **NEWER)),
]


@pytest.mark.parametrize(("reason", "cause", "act"), ENDS)
async def test_an_end_has_its_reason_and_author(
    store: Stores, reason: EndReason, cause: tuple[str, str, str], act: Act
) -> None:
    session, lease = make_session(device_type="ios", generation=5), lease_of()
    await store.tickets.create_session(lease, session, UNLIMITED, "1.2 (3)")
    await run(store, act, end(EndReason.EXPIRED, LATER))  # an earlier reason stays
    (told,) = [each for each in await history(store) if each["event"] == "ended"]
    assert (told["at"], told["reason"]) == (epoch(LATER), reason)
    assert (told["by"], told.get("kind", ""), told.get("ended_by", "")) == cause
    assert told["device"] == {"type": "ios", "app_version": "1.2 (3)"}
    assert told["refreshes"] == 5
    assert told.get("replaced_by") == ("ios" if reason is EndReason.REPLACED else None)


@pytest.mark.parametrize(
    ("presented", "key", "kind"),
    [(1, None, "stale"), (5, None, "ahead"), (2, None, "recent_previous"), (2, "x", "other_key")],
)
async def test_a_reuse_has_its_kind(
    store: Stores, presented: int, key: str | None, kind: str
) -> None:
    await run(store, add(generation=2), rotate(2))
    if kind == "recent_previous":
        await run(store, touch(3))
    await run(store, rotate(presented, LATER, key=key))
    ended, reused, opened = await history(store)
    assert (ended["event"], ended["by"]) == ("ended", "reuse")
    assert ended["reason"] is EndReason.REFRESH_REUSED
    assert (reused["event"], reused["at"]) == ("refresh_reused", epoch(LATER))
    assert ended["kind"] == reused["kind"] == kind
    assert opened["event"] == "opened"


@pytest.mark.parametrize("told_by", ["nothing", "a purge", "a kick", "a login", "a late purge"])
@pytest.mark.parametrize(("days", "kind"), [(0, "idle"), (20, "absolute")])
async def test_a_session_that_has_expired_is_told_as_expired_then(
    store: Stores, told_by: str, days: int, kind: str
) -> None:
    used = NOW + days * DAY
    await run(store, add(expires_at=NOW + 25 * DAY), rotate(0, used))
    expiry = min(used + IDLE, NOW + ABSOLUTE)
    at = expiry + 6 * DAY
    if told_by == "a kick":
        await run(store, end_all(at=at))
    elif told_by == "a login":
        await run(store, add("session-b", ONE, created_at=at))
    elif told_by != "nothing":
        at = expiry + (7 * DAY - SECOND if told_by == "a purge" else 7 * DAY)
        await run(store, purge(at))
    if told_by == "a late purge":  # the history is kept for seven days here
        assert await unknown(store, at)
        return
    ended, *_ = await service(store, at).of_session("session-a")
    assert (ended["at"], ended["reason"]) == (epoch(expiry), EndReason.EXPIRED)
    assert (ended["by"], ended["kind"], ended["refreshes"]) == ("expiry", kind, 1)


async def test_ordinary_refreshes_are_counted_and_not_listed(store: Stores) -> None:
    await run(store, add())
    assert await events(store) == [("opened", "", 1)]
    await run(store, *(rotate(generation, NOW + generation * SECOND) for generation in range(3)))
    told = await history(store)
    assert [(each["event"], each.get("count"), each["at"]) for each in told] == [
        ("refreshed", 3, epoch(NOW) + 2),
        ("opened", None, epoch(NOW)),
    ]


async def test_equal_events_of_a_session_are_one_with_their_number(store: Stores) -> None:
    retries = [acquire(lease_of(key="key", at=NOW + seconds * SECOND)) for seconds in (1, 9)]
    await run(store, create(lease_of(key="key")), *retries)
    await run(store, *(rotate(1, NOW + seconds * SECOND) for seconds in (10, 20, 30, 40)))
    told = [
        (each["event"], each["count"], each["first_at"], each["at"])
        for each in await history(store)
        if "first_at" in each
    ]
    assert told == [
        ("refresh_replayed", 3, epoch(NOW) + 20, epoch(NOW) + 40),
        ("login_replayed", 2, epoch(NOW) + 1, epoch(NOW) + 9),
    ]


async def test_bindings_and_refused_proofs_are_listed_by_fault(store: Stores) -> None:
    await run(store, add(key_thumbprint="key-a", seen_proofs=proof_of(jti=9).id))
    await run(store, add("session-b", subject="another"))
    proofs = ("missing", "invalid", "missing", Proof("key-a", ""), proof_of("key-b"))
    await run(store, *(rotate(0, proof=proof) for proof in proofs))
    assert await events(store) == [
        *(("proof_refused", "required", 2), ("proof_refused", "other_key", 1)),
        *(("proof_refused", "invalid", 1), ("session_bound", "", 1), ("opened", "", 1)),
    ]
    theirs = [rotate(0, session_id="session-b", proof=proof_of(jti=jti)) for jti in (1, 2)]
    await run(store, *theirs)
    told = await service(store, LATER).of_session("session-b")
    assert sorted((each["event"], each.get("count", 1)) for each in told) == [
        *(("opened", 1), ("refresh_replayed", 1), ("refreshed", 1), ("session_bound", 1))
    ]


async def test_a_replay_may_bind_a_session(store: Stores) -> None:
    await run(store, add(), rotate(0), rotate(0, proof=proof_of()))
    assert ("session_bound", "", 1) in await events(store)


async def test_what_another_clock_dates_after_the_end_comes_before_it(store: Stores) -> None:
    await run(store, add(), *[rotate(0, LATER + 2 * SECOND)] * 2, end(at=LATER))
    assert [event for event, *_ in await events(store)] == ["ended", "refresh_replayed", "opened"]


async def test_a_look_at_a_token_leaves_nothing(store: Stores) -> None:
    await run(store, add(generation=5))
    before = await events(store)
    await run(store, *(rotate(presented, dry_run=True) for presented in (3, 4, 5, 6)))
    assert await events(store) == before


async def test_bans_and_lifts_are_listed_with_and_without_sessions(store: Stores) -> None:
    await run(store, *(put(ban_of(at=at, until=NOW + DAY)) for at in (NOW, NOW + HOUR)))
    await run(store, *(lift(at=NOW + hours * HOUR) for hours in (2, 3)))  # one lifts nothing
    await run(store, put(ban_of(at=NOW + 4 * HOUR, until=NOW + 5 * HOUR)))
    await run(store, lift(at=NOW + 5 * HOUR))  # it was over
    told = await history(store, NOW + DAY)
    hours_of = [(each["event"], (each["at"] - epoch(NOW)) // 3600) for each in told]
    assert hours_of == [("banned", 4), ("ban_lifted", 2), ("banned", 1), ("banned", 0)]


async def test_a_ban_of_many_sessions_is_listed_once(store: Stores) -> None:
    await run(store, *(add(f"session-{number}") for number in range(1001)))
    await run(store, put(ban_of(at=LATER)))
    told = await service(store, LATER).of_user(SUBJECT)
    assert [each["event"] for each in told].count("banned") == 1
    assert [each["event"] for each in told].count("ended") == 1000


async def test_an_unknown_user_and_session_have_no_history(store: Stores) -> None:
    assert await unknown(store)
    await run(store, add("session-b", subject="another"), lift())
    assert await unknown(store)


async def test_an_erasure_leaves_no_history(store: Stores) -> None:
    await run(store, add(device_type="ios"), rotate(1), end(at=LATER), add("session-b"))
    await run(store, put(ban_of()), lift(), add("session-c"), erase(LATER))
    assert await unknown(store)


async def test_the_history_of_a_session_is_kept_as_long_as_set_after_its_end(store: Stores) -> None:
    await store.tickets.create_session(lease_of(), make_session(), UNLIMITED, "1.2")
    await run(store, rotate(1), end(at=LATER))
    last = LATER + TTL - SECOND
    for _ in ("not purged", "purged"):
        told = [event for event, *_ in await events(store, last)]
        assert told == ["ended", "rolled_forward", "opened"]
        await run(store, purge(last))
    assert await unknown(store, LATER + TTL)
    assert await unknown(store, LATER + 60 * SECOND, 60 * SECOND)
    await run(store, purge(LATER + TTL))
    sessions, _ = await store.history.find(session_id="session-a")
    assert not sessions


async def test_an_active_session_keeps_its_history(store: Stores) -> None:
    await run(store, add(), purge(NOW + IDLE - SECOND))
    assert await events(store, NOW + IDLE - SECOND) == [("opened", "", 1)]
