"""A server that does not reply, or replies late: every command ends within about a second."""

import asyncio
import contextlib
import socket
import struct
import time

import pytest

from app.sessions.outcomes import Active, Replayed, Rotated
from app.sessions.ports import Stores
from app.stores.redis.engine import MAX_CONCURRENT, TIMEOUT
from tests.stores.redis.opening import (
    RECOVERY,
    fields_of,
    leaks_no_connection,
    opened,
    seconds_until_it_works,
)
from tests.stores.steps import add, fails, play, rotate, run, touch
from tests.support.fakes import RecordedEvents
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server

on_uvloop = pytest.mark.asyncio(loop_factories=["uvloop"])
SOON = 1.5
"""Seconds; a command has one, the rest is for a busy machine."""


@pytest.fixture
def command_timeout() -> float:
    return TIMEOUT


async def at_once(store: Stores, callers: int) -> tuple[list[bool], float]:
    """Whether each of them fails, and how long the slowest one took."""
    begun = time.monotonic()
    failed = await asyncio.gather(*(fails(touch(0)(store)) for _ in range(callers)))
    return failed, time.monotonic() - begun


@on_uvloop
async def test_a_frozen_server_fails_all_commands_within_a_second(valkey: Server) -> None:
    async with opened(valkey.url) as store:
        await run(store, add())
        valkey.freeze()
        failed, seconds = await at_once(store, 5 * MAX_CONCURRENT)
        assert failed == [True] * 5 * MAX_CONCURRENT
        assert seconds < SOON
        valkey.thaw()
        assert await seconds_until_it_works(store) < RECOVERY


@on_uvloop
async def test_one_timed_out_command_makes_the_next_one_fail_immediately(valkey: Server) -> None:
    async def one(store: Stores, number: int) -> float:
        await asyncio.sleep(number * 0.0037)  # timers go off at different fractions
        await fails(touch(0)(store))
        begun = time.monotonic()
        await fails(touch(0)(store))
        return time.monotonic() - begun

    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(valkey.url)) for _ in range(60)]
        valkey.freeze()
        waited = await asyncio.gather(*(one(store, n) for n, store in enumerate(stores)))
        assert max(waited) < 0.3
        valkey.thaw()


async def test_a_slow_server_is_waited_for(store: Stores, proxy: Proxy) -> None:
    await run(store, add(), rotate(0))
    proxy.delay(0.5)
    begun = time.monotonic()
    await play(store, (rotate(1), Rotated))
    assert time.monotonic() - begun < SOON


async def test_a_crowd_before_a_slow_server_is_refused_instead_of_waiting(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add())
    await at_once(store, MAX_CONCURRENT)  # connects, and loads the script
    proxy.delay(0.4)
    failed, seconds = await at_once(store, 800)
    assert seconds < SOON
    # Commands that were sent had time for their reply: no connection was given up.
    assert failed.count(False) >= MAX_CONCURRENT
    assert proxy.opened <= MAX_CONCURRENT


async def test_late_replies_of_a_slow_server_reach_no_other_command(
    store: Stores, proxy: Proxy, events: RecordedEvents
) -> None:
    others = [f"session-{number}" for number in range(20)]
    await run(store, add(), *map(add, others), rotate(0))
    proxy.delay(5)
    begun = time.monotonic()
    assert await fails(rotate(1)(store))
    assert time.monotonic() - begun < SOON
    proxy.pass_through()
    await seconds_until_it_works(store)
    seen = await asyncio.gather(*(touch(0, session_id=other)(store) for other in others))
    assert [one.session.id for one in seen if isinstance(one, Active)] == others
    # The command had been carried out: the app is given the one successor when it asks again.
    await play(store, (rotate(1), Replayed))
    assert set(fields_of(events, "store_failed")) == {"TimeoutError"}


async def test_a_host_that_accepts_and_never_replies_fails_all_within_a_second(
    store: Stores, proxy: Proxy
) -> None:
    proxy.delay(None)
    proxy.cut()
    failed, seconds = await at_once(store, 3 * MAX_CONCURRENT)
    assert failed == [True] * 3 * MAX_CONCURRENT
    assert seconds < SOON
    proxy.pass_through()
    proxy.cut()
    assert await seconds_until_it_works(store) < RECOVERY


@on_uvloop
async def test_repeated_network_cuts_raise_only_store_unavailable(
    store: Stores, proxy: Proxy
) -> None:
    await run(store, add())
    for _ in range(3):
        calls = [asyncio.create_task(fails(touch(0)(store))) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.to_thread(proxy.cut)
        await asyncio.gather(*calls)
    await leaks_no_connection(store, proxy)


@on_uvloop
async def test_a_host_that_drops_every_connection_at_once_is_unavailable() -> None:
    async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: socket.socket = writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    async with server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with opened(url) as store:
            failed, _ = await at_once(store, 300)
            assert failed == [True] * 300
