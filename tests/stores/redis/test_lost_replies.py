"""A reply that is lost after the commit: the second run of the command replies as its first run.

Without that, a rotation whose reply is lost would look like a theft to the store's own client.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from app.sessions.models import End, EndReason
from app.sessions.outcomes import (
    Acquired,
    Active,
    AlreadyUsed,
    Ended,
    Opened,
    ProofRefused,
    Replayed,
    Reused,
    Rotated,
    Unknown,
)
from app.sessions.ports import SessionLimits, Stores
from app.sessions.tokens import new_session_id
from app.stores.redis import scripts
from app.stores.redis.scripts import Script
from tests.stores.builders import (
    NOW,
    SUBJECT,
    UNLIMITED,
    WINDOW,
    ban_of,
    keep,
    lease_of,
    make_session,
    rotation_of,
)
from tests.stores.redis.opening import SESSION, engine_of, fails
from tests.support.processes import soon
from tests.support.proofs import proof_of
from tests.support.valkey.proxy import Proxy

STRICT = timedelta(0)


def lose(proxy: Proxy, script: Script, *, times: int = 1) -> None:
    proxy.lose_reply(b"^EVALSHA " + script.digest.encode(), times=times)


async def in_the_feed(store: Stores) -> list[str]:
    page = await store.sessions.revocations("", NOW, timedelta(minutes=10))
    return [each["sid"] for _, each in page.revocations]


async def keep_some(store: Stores, count: int) -> list[str]:
    ids = [new_session_id() for _ in range(count)]
    for session_id in ids:
        await keep(store, make_session(session_id))
    return ids


@pytest.mark.parametrize("window", [WINDOW, STRICT], ids=["with a window", "strict"])
async def test_500_rotations_with_lost_replies_all_succeed(
    store: Stores, proxy: Proxy, window: timedelta
) -> None:
    await keep(store, make_session(SESSION))
    await store.sessions.rotate(rotation_of(0, session_id=SESSION))  # the script is known now
    for generation in range(1, 501):
        lose(proxy, scripts.ROTATE)
        outcome = await store.sessions.rotate(
            rotation_of(generation, session_id=SESSION, window=window)
        )
        assert isinstance(outcome, Rotated)
        assert outcome.session.generation == generation + 1
        assert outcome.rolled_forward is False
    assert proxy.lost == 500
    assert isinstance(await store.sessions.touch(SESSION, 501, NOW), Active)


async def test_a_rotation_whose_reply_is_lost_twice_is_replayed_to_the_next_request(
    store: Stores, proxy: Proxy
) -> None:
    await keep(store, make_session(SESSION))
    await store.sessions.rotate(rotation_of(0, session_id=SESSION))
    lose(proxy, scripts.ROTATE, times=2)
    assert await fails(store.sessions.rotate(rotation_of(1, session_id=SESSION)))
    again = await store.sessions.rotate(rotation_of(1, session_id=SESSION))
    assert isinstance(again, Replayed)
    assert again.session.generation == 2


async def test_a_second_run_does_not_take_its_own_proof_for_a_used_one(
    store: Stores, proxy: Proxy
) -> None:
    await keep(store, make_session(SESSION, key_thumbprint="key-a"))
    for jti, outcome in enumerate((Rotated, Replayed, Replayed)):
        rotation = replace(rotation_of(0, session_id=SESSION), proof=proof_of(jti=jti))
        lose(proxy, scripts.ROTATE)
        assert isinstance(await store.sessions.rotate(rotation), outcome)
        assert await store.sessions.rotate(rotation) == ProofRefused("reused")
    assert proxy.lost == 3


async def test_a_second_run_repeats_a_roll_forward_a_replay_and_a_reuse(
    store: Stores, proxy: Proxy
) -> None:
    await keep(store, make_session(SESSION))
    await store.sessions.rotate(rotation_of(0, session_id=SESSION))
    lose(proxy, scripts.ROTATE)
    rolled_forward = await store.sessions.rotate(rotation_of(2, session_id=SESSION))
    assert isinstance(rolled_forward, Rotated)
    assert rolled_forward.rolled_forward is True
    lose(proxy, scripts.ROTATE)
    replayed = await store.sessions.rotate(rotation_of(2, session_id=SESSION))
    assert replayed == Replayed(rolled_forward.session, replays=1)
    lose(proxy, scripts.ROTATE)
    assert await store.sessions.rotate(rotation_of(0, session_id=SESSION)) == Reused("stale")


@pytest.mark.parametrize("meanwhile", ["refresh in the window", "refresh", "end"])
async def test_a_second_run_neither_ends_a_session_for_reuse_nor_undoes_an_end(
    store: Stores, other: Stores, proxy: Proxy, meanwhile: str
) -> None:
    window = STRICT if meanwhile == "refresh" else WINDOW
    await keep(store, make_session(SESSION))
    await store.sessions.rotate(rotation_of(0, session_id=SESSION))
    lose(proxy, scripts.ROTATE)
    proxy.delay(None)  # the second run's connection is not ready before we say so
    late = asyncio.create_task(
        store.sessions.rotate(rotation_of(1, session_id=SESSION, window=window))
    )
    await asyncio.to_thread(proxy.wait_until, lambda: proxy.lost == 1)
    if meanwhile == "end":
        await other.sessions.end(SESSION, SUBJECT, End(EndReason.LOGGED_OUT, NOW))
        proxy.pass_through()
        assert await late == Ended(EndReason.LOGGED_OUT)
        return
    assert isinstance(await other.sessions.rotate(rotation_of(2, session_id=SESSION)), Rotated)
    proxy.pass_through()
    assert await fails(late)
    assert isinstance(await other.sessions.touch(SESSION, 3, NOW), Active)


async def test_an_end_with_a_lost_reply_is_reported_as_changed_once(
    store: Stores, proxy: Proxy
) -> None:
    ids = await keep_some(store, 51)
    await store.sessions.end(ids.pop(), SUBJECT, End(EndReason.LOGGED_OUT, NOW))
    for session_id in ids:
        lose(proxy, scripts.END)
        ended = await store.sessions.end(session_id, SUBJECT, End(EndReason.LOGGED_OUT, NOW))
        assert ended == Ended(EndReason.LOGGED_OUT, changed=True)
        again = await store.sessions.end(session_id, SUBJECT, End(EndReason.LOGGED_OUT, NOW))
        assert again == Ended(EndReason.LOGGED_OUT)
    assert proxy.lost == 50
    assert (await in_the_feed(store))[1:] == ids


EndAll = Callable[[Stores], Awaitable[object]]


@pytest.mark.parametrize(
    ("script", "end_them"),
    [
        (
            scripts.END_ALL,
            lambda store: store.sessions.end_all(SUBJECT, End(EndReason.KICKED, NOW)),
        ),
        (scripts.BAN, lambda store: store.bans.put(ban_of())),
        (scripts.ERASE, lambda store: store.sessions.erase(SUBJECT, NOW)),
    ],
    ids=["end_all", "ban", "erase"],
)
async def test_a_second_run_returns_the_ids_that_its_first_run_ended(
    store: Stores, proxy: Proxy, script: Script, end_them: EndAll
) -> None:
    await end_them(store)
    await store.bans.lift(SUBJECT, NOW)
    ended: list[str] = []
    for _ in range(20):
        ids = await keep_some(store, 3)
        lose(proxy, script)
        assert await end_them(store) == ids
        assert await end_them(store) == []
        await store.bans.lift(SUBJECT, NOW)
        ended += ids
    assert proxy.lost == 20
    assert await in_the_feed(store) == ended


async def test_a_second_run_of_a_login_returns_the_replaced_ids(
    store: Stores, proxy: Proxy
) -> None:
    only = SessionLimits(max_per_user=1, one_per_device_type=False)
    (before,) = await keep_some(store, 1)
    for number in range(50):
        new = make_session(new_session_id())
        lease = lease_of(f"ticket-{number}")
        lose(proxy, scripts.CREATE_SESSION)
        assert await store.tickets.create_session(lease, new, only) == Opened([before])
        before = new.id
    assert proxy.lost == 50
    assert [one.id for one in await store.sessions.active_sessions(SUBJECT, NOW)] == [before]


async def test_a_login_with_lost_replies_leases_and_uses_its_ticket_once(
    store: Stores, proxy: Proxy
) -> None:
    await store.tickets.acquire(lease_of("first", key="first key"))
    await store.tickets.release(lease_of("first", key="first key"))
    await keep_some(store, 1)
    for number in range(50):
        lease = lease_of(f"ticket-{number}", key=f"key-{number}", holder=f"holder-{number}")
        session = make_session(new_session_id())
        for script in (scripts.ACQUIRE, scripts.RELEASE, scripts.CREATE_SESSION):
            lose(proxy, script)
        other = replace(lease, holder="another")
        assert await store.tickets.acquire(other) == Acquired()
        await store.tickets.release(other)
        assert await store.tickets.acquire(lease) == Acquired()
        assert await store.tickets.create_session(lease, session, UNLIMITED) == Opened([])
        assert await store.tickets.acquire(lease) == AlreadyUsed(session)
    assert proxy.lost == 150


async def test_a_cut_connection_does_not_affect_the_next_command(
    store: Stores, proxy: Proxy
) -> None:
    await keep(store, make_session(SESSION))
    for _ in range(20):
        proxy.cut()
        assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)
    proxy.refuse()
    proxy.cut()
    assert await fails(store.sessions.touch(SESSION, 0, NOW))
    proxy.pass_through()
    assert await store.sessions.touch(new_session_id(), 0, NOW) == Unknown()


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(
    store: Stores, proxy: Proxy
) -> None:
    await keep(store, make_session(SESSION, generation=5))
    proxy.cut()
    (idle,) = engine_of(store)._connections._idle
    await asyncio.to_thread(soon, lambda: not idle.is_open)
    # This is the first run: a second one never ends a session.
    assert await store.sessions.rotate(rotation_of(0, session_id=SESSION)) == Reused("stale")


async def test_a_connection_with_a_reply_to_no_command_is_not_used(store: Stores) -> None:
    await keep(store, make_session(SESSION))
    (idle,) = engine_of(store)._connections._idle
    idle.data_received(b"+OK\r\n")
    assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)
    assert idle not in engine_of(store)._connections._idle
