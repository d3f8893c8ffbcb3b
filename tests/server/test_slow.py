"""Slow clients are closed at the deadline or at the connection limit, and delay no other client."""

import asyncio
import gc
import select
import signal
import socket
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress

import pytest

from tests.server.conftest import (
    TIMEOUT,
    EchoServer,
    Serve,
    next_response,
    until_end,
    until_end_or_reset,
)
from tests.server.examples import CHUNKED, GET, get, post
from tests.support.processes import until

DEADLINE = 0.3
SLOW: dict[str, Sequence[bytes]] = {
    "silent": [],
    "header-drip": [GET, *[b"X: a\r\n"] * 100],
    "first-line-drip": [b"G", b"E", b"T", b" ", b"/", *[b"a"] * 1000],
    "body-drip": [post(b"Content-Length: 8000"), *[b"a"] * 1000],
    "chunk-drip": [CHUNKED, *[b"1\r\na\r\n"] * 1000],
    "empty-line-drip": [b"\r\n"],
    "expecting": [post(b"Expect: 100-continue", b"Content-Length: 2")],
    "second-request-drip": [get() + b"G", *[b"E"] * 1000],
}


async def drip(server: EchoServer, pieces: Sequence[bytes]) -> float:
    """Send the pieces slowly; return after how many seconds the server closed the connection."""
    started = time.monotonic()
    async with server.connected() as (reader, writer):
        ended = asyncio.create_task(until_end(reader))
        for piece in pieces:
            writer.write(piece)
            await asyncio.wait({ended}, timeout=DEADLINE / 10)
            if ended.done():
                break
        with suppress(ConnectionError):  # reset, if something was on its way
            await ended
        return time.monotonic() - started


async def test_200_slow_clients_are_closed_at_the_deadline_and_delay_no_other(serve: Serve) -> None:
    server = await serve(deadline=DEADLINE)
    crowd = list(SLOW.values()) * (200 // len(SLOW))
    dripping = asyncio.gather(*(drip(server, pieces) for pieces in crowd))
    await until(lambda: len(server.connections()) == len(crowd))
    assert (await server.say(get(b"Connection: close")))[0].status == 200
    assert not dripping.done()
    lasted = await dripping
    assert min(lasted) > DEADLINE * 0.9
    assert max(lasted) < DEADLINE + 5
    assert set(server.reached) == {"/first"}


async def test_refused_client_that_stays_is_closed(serve: Serve) -> None:
    server = await serve()
    started = time.monotonic()
    async with server.connected() as (reader, writer):
        writer.write(get(b"bad"))
        assert (await next_response(reader)).status == 400
        with pytest.raises(ConnectionError):
            await send_without_end(writer)
    assert 1 < time.monotonic() - started < 10
    assert server.reached == []


async def send_without_end(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            writer.write(get())
            await writer.drain()
            await asyncio.sleep(0.001)


async def test_slow_client_does_not_delay_the_stop_beyond_the_deadline(serve: Serve) -> None:
    server = await serve(deadline=DEADLINE, shutdown_timeout=60)
    async with server.connected() as (reader, writer):
        writer.write(GET)
        await until(lambda: any(each._reader.begun for each in server.connections()))
        server.signal(signal.SIGTERM)
        assert await until_end(reader) == b""
    await server.stopped()
    assert server.reached == []


# --- clients that do not read ---

BIG = get(b"X: ".ljust(15_000, b"a"))  # the echo responds with as much
UNREAD = {
    "small-responses": get(),
    "large-responses": BIG,
    "refused-at-last": BIG * 20 + b"bad\r\n",
    "closing-at-last": BIG * 20 + get(b"Connection: close"),
    "expecting": post(b"Expect: 100-continue", b"Content-Length: 8000") + b"a" * 8000,
}


def flood(server: EchoServer, raw: bytes, *, ends: bool = False) -> socket.socket:
    """Send a request again and again, until the server takes no more, and read nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    client.settimeout(DEADLINE / 3)
    with suppress(OSError):
        while True:
            client.sendall(raw)
    with suppress(OSError):
        if ends:
            client.shutdown(socket.SHUT_WR)
    return client


def never_read(server: EchoServer, raw: bytes, *, ends: bool) -> bool:
    """Return whether the server closed the connection."""
    with flood(server, raw, ends=ends) as client:
        poll = select.poll()
        poll.register(client, 0)  # a closed connection is always reported
        return bool(poll.poll(TIMEOUT * 1000))


@pytest.mark.parametrize("ends", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize("raw", UNREAD.values(), ids=UNREAD)
async def test_client_that_never_reads_is_closed_at_the_deadline(
    serve: Serve, raw: bytes, *, ends: bool
) -> None:
    server = await serve(deadline=DEADLINE)
    assert await asyncio.to_thread(never_read, server, raw, ends=ends)
    await until(lambda: not server.connections())


async def test_client_that_reads_byte_by_byte_is_closed_at_the_deadline(serve: Serve) -> None:
    server = await serve(deadline=DEADLINE)
    with await asyncio.to_thread(flood, server, BIG) as client:
        await until(lambda: client.recv(1) != b"" and not server.connections())


@pytest.mark.parametrize("raw", UNREAD.values(), ids=UNREAD)
async def test_client_that_does_not_read_holds_at_most_32_kib(serve: Serve, raw: bytes) -> None:
    server = await serve()
    with await asyncio.to_thread(flood, server, raw):
        (connection,) = server.connections()
        unsent = connection.transport.get_write_buffer_size()
        assert 0 < len(connection._reader.received) + unsent <= 32 * 1024


@pytest.mark.parametrize("ends", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize(("raw", "number"), [(get(), 5000), (BIG, 500)], ids=["small", "large"])
async def test_client_that_reads_late_gets_every_response(
    serve: Serve, raw: bytes, number: int, *, ends: bool
) -> None:
    server = await serve()
    async with server.connected() as (reader, writer):
        writer.write(raw * number)
        if ends:
            writer.write_eof()
        await until(lambda: any(each._flow.write_paused for each in server.connections()))
        assert len(server.reached) < number
        for _ in range(number):
            assert (await next_response(reader)).status == 200
        assert not ends or await until_end(reader) == b""


@pytest.mark.long
@pytest.mark.parametrize("raw", UNREAD.values(), ids=UNREAD)
async def test_client_that_does_not_read_does_not_delay_the_stop(
    serve: Serve, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    server = await serve(shutdown_timeout=1)
    with await asyncio.to_thread(flood, server, raw):
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        await server.stopped()
    assert time.monotonic() - started < 10
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


# --- memory ---


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("raw", [b"", GET, CHUNKED, get(), get(b"bad")])
async def test_lost_connection_is_freed_without_the_garbage_collector(
    serve: Serve, no_garbage_collector: None, raw: bytes
) -> None:
    server = await serve()
    async with server.connected() as (reader, writer):
        writer.write(raw)
        await until(lambda: bool(server.connections()))
        (connection,) = server.connections()
        left: list[weakref.ref[object]] = [weakref.ref(connection), weakref.ref(connection._reader)]
        del connection
        if raw.endswith(b"\r\n\r\n") and raw != CHUNKED:
            await next_response(reader)
    await until(lambda: all(each() is None for each in left))


# --- the connection limit ---


async def test_connection_that_has_waited_longest_is_evicted_at_the_limit(serve: Serve) -> None:
    server = await serve(max_connections=3)
    async with AsyncExitStack() as stack:
        idle, writer = await stack.enter_async_context(server.connected())
        writer.write(get())
        await next_response(idle)
        slow, writer = await stack.enter_async_context(server.connected())
        writer.write(GET)
        await stack.enter_async_context(server.connected())
        for _ in range(10):
            assert (await server.say(get(b"Connection: close")))[0].status == 200
        assert await until_end_or_reset(slow) == b""
        assert not idle.at_eof()
