"""A reply that is lost after the commit: the second run of the command replies as its first run.

Without that, a rotation whose reply is lost would look like a theft to the store's own client.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.sessions.models import EndReason
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
from app.sessions.ports import Stores
from app.stores.redis.scripts import SCRIPTS
from tests.stores.builders import HOUR, NOW, ONE, WINDOW, ban_of, lease_of, make_session
from tests.stores.redis.opening import engine_of
from tests.stores.steps import (
    Act,
    acquire,
    active_ids,
    add,
    create,
    end,
    end_all,
    erase,
    fails,
    lift,
    play,
    put,
    release,
    rotate,
    run,
    touch,
)
from tests.support.processes import soon
from tests.support.proofs import proof_of
from tests.support.valkey.proxy import Proxy

STRICT = timedelta(0)
LOGGED_OUT = Ended(EndReason.LOGGED_OUT)


def lose(proxy: Proxy, *lost: str, times: int = 1) -> None:
    for script in lost:
        proxy.lose_reply(b"^EVALSHA " + SCRIPTS[script].digest.encode(), times=times)


async def in_the_feed(store: Stores) -> list[str]:
    page = await store.sessions.revocations("", NOW, HOUR)
    return [each["sid"] for _, each in page.revocations]


@pytest.mark.parametrize("window", [WINDOW, STRICT], ids=["with a window", "strict"])
async def test_500_rotations_with_lost_replies_all_succeed(
    store: Stores, proxy: Proxy, window: timedelta
) -> None:
    await run(store, add(), rotate(0))  # the script is known now
    for generation in range(1, 501):
        lose(proxy, "rotate")
        outcome = await rotate(generation, window=window)(store)
        assert isinstance(outcome, Rotated)
        assert (outcome.session.generation, outcome.rolled_forward) == (generation + 1, False)
    assert proxy.lost == 500
    await play(store, (touch(501), Active))


async def test_a_rotation_whose_reply_is_lost_twice_is_replayed_to_the_next_request(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add(), rotate(0))
    lose(proxy, "rotate", times=2)
    assert await fails(rotate(1)(store))
    again = await rotate(1)(store)
    assert isinstance(again, Replayed)
    assert again.session.generation == 2


async def test_a_second_run_does_not_take_its_own_proof_for_a_used_one(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add(key_thumbprint="key-a"))
    for jti, outcome in enumerate((Rotated, Replayed, Replayed)):
        refresh = rotate(0, proof=proof_of(jti=jti))
        lose(proxy, "rotate")
        await play(store, (refresh, outcome), (refresh, ProofRefused("reused")))
    assert proxy.lost == 3


async def test_a_second_run_repeats_a_roll_forward_a_replay_and_a_reuse(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add(), rotate(0))
    lose(proxy, "rotate")
    rolled_forward = await rotate(2)(store)
    assert isinstance(rolled_forward, Rotated)
    assert rolled_forward.rolled_forward is True
    lose(proxy, "rotate")
    await play(store, (rotate(2), Replayed(rolled_forward.session, replays=1)))
    lose(proxy, "rotate")
    await play(store, (rotate(0), Reused("stale")))


@pytest.mark.parametrize("meanwhile", ["refresh in the window", "refresh", "end"])
async def test_a_second_run_neither_ends_a_session_for_reuse_nor_undoes_an_end(
    store: Stores, other: Stores, proxy: Proxy, meanwhile: str
) -> None:
    await run(store, add(), rotate(0))
    lose(proxy, "rotate")
    proxy.delay(None)  # the second run's connection is not ready before we say so
    window = STRICT if meanwhile == "refresh" else WINDOW
    late = asyncio.ensure_future(rotate(1, window=window)(store))
    await asyncio.to_thread(proxy.wait_until, lambda: proxy.lost == 1)
    if meanwhile == "end":
        await run(other, end())
        proxy.pass_through()
        assert await late == LOGGED_OUT
        return
    await play(other, (rotate(2), Rotated))
    proxy.pass_through()
    assert await fails(late)
    await play(other, (touch(3), Active))


async def test_an_end_with_a_lost_reply_is_reported_as_changed_once(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add("known"), end(session_id="known"))
    ids = [f"session-{number}" for number in range(50)]
    for session_id in ids:
        log_out = end(session_id=session_id)
        await run(store, add(session_id))
        lose(proxy, "end")
        await play(store, (log_out, replace(LOGGED_OUT, changed=True)), (log_out, LOGGED_OUT))
    assert proxy.lost == 50
    assert await in_the_feed(store) == ["known", *ids]


@pytest.mark.parametrize(
    ("script", "end_them"),
    [("end_all", end_all()), ("ban", put(ban_of())), ("erase", erase())],
    ids=["end_all", "ban", "erase"],
)
async def test_a_second_run_returns_the_ids_that_its_first_run_ended(
    store: Stores, proxy: Proxy, script: str, end_them: Act
) -> None:
    await run(store, end_them, lift())
    for number in range(20):
        ids = [f"session-{number}-{name}" for name in "abc"]
        await run(store, *map(add, ids))
        lose(proxy, script)
        await play(store, (end_them, ids), (end_them, []), (lift(), None))
        assert (await in_the_feed(store))[-3:] == ids
    assert proxy.lost == 20
    assert len(await in_the_feed(store)) == 60


async def test_a_second_run_of_a_login_returns_the_replaced_ids(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add("session-0"))
    for number in range(1, 51):
        lose(proxy, "create_session")
        log_in = create(lease_of(f"ticket-{number}"), f"session-{number}", ONE)
        await play(store, (log_in, Opened([f"session-{number - 1}"])))
    assert proxy.lost == 50
    await play(store, (active_ids(), ["session-50"]))


async def test_a_login_with_lost_replies_leases_and_uses_its_ticket_once(
    store: Stores, proxy: Proxy
) -> None:
    first = lease_of("first", key="first key")
    await run(store, acquire(first), release(first), add())
    for number in range(50):
        lease = lease_of(f"ticket-{number}", key=f"key-{number}", holder=f"holder-{number}")
        other, name = replace(lease, holder="another"), f"session-{number}"
        lose(proxy, "acquire", "release", "create_session")
        await play(
            store,
            *((acquire(other), Acquired()), (release(other), None), (acquire(lease), Acquired())),
            *((create(lease, name), Opened([])), (acquire(lease), AlreadyUsed(make_session(name)))),
        )
    assert proxy.lost == 150


async def test_a_cut_connection_does_not_affect_the_next_command(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add())
    for _ in range(20):
        proxy.cut()
        await play(store, (touch(0), Active))
    proxy.refuse()
    proxy.cut()
    assert await fails(touch(0)(store))
    proxy.pass_through()
    await play(store, (touch(0, session_id="unknown"), Unknown()))


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add(generation=5))
    proxy.cut()
    (idle,) = engine_of(store)._connections._idle
    await asyncio.to_thread(soon, lambda: not idle.is_open)
    # This is the first run: a second one never ends a session.
    await play(store, (rotate(0), Reused("stale")))


async def test_a_connection_with_a_reply_to_no_command_is_not_used(store: Stores) -> None:
    await run(store, add())
    (idle,) = engine_of(store)._connections._idle
    idle.data_received(b"+OK\r\n")
    await play(store, (touch(0), Active))
    assert idle not in engine_of(store)._connections._idle
