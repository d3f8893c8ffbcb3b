"""T7.8: who is slow is closed at the deadline, and nobody else notices."""

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress

import pytest

from app.server.protocol import _Gate
from tests.server.conftest import PATIENCE, House, Serve, answers, one_answer, until, until_end
from tests.server.examples import CHUNKED, EMPTY, GET, get, post

DEADLINE = 0.5
SLOW: dict[str, Sequence[bytes]] = {
    "silent": [],
    "header-drip": [GET, *[b"X: a\r\n"] * 1000],
    "first-line-drip": [b"G", b"E", b"T", b" ", b"/", *[b"a"] * 1000],
    "body-drip": [post(b"Content-Length: 8000"), *[b"a"] * 1000],
    "chunk-drip": [CHUNKED, *[b"1\r\na\r\n"] * 1000],
    "empty-line-drip": [b"\r\n"],
    "expecting": [post(b"Expect: 100-continue", b"Content-Length: 2")],
    "second-request-drip": [get() + b"G", *[b"E"] * 1000],
}
slow = pytest.mark.parametrize("pieces", [pytest.param(SLOW[n], id=f"T7.8-{n}") for n in SLOW])


async def drip(house: House, pieces: Sequence[bytes]) -> float:
    """Send the pieces slowly; for how many seconds the server puts up with it."""
    async with house.connected() as (reader, writer):
        started = time.monotonic()
        ended = asyncio.create_task(until_end(reader))
        for piece in pieces:
            writer.write(piece)
            await asyncio.wait({ended}, timeout=DEADLINE / 10)
            if ended.done():
                break
        with suppress(ConnectionError):  # reset, if something was on its way
            await ended
        return time.monotonic() - started


@slow
async def test_it_is_closed_at_the_deadline(serve: Serve, pieces: Sequence[bytes]) -> None:
    house = await serve(receive_seconds=DEADLINE)
    assert DEADLINE * 0.9 < await drip(house, pieces) < DEADLINE + 3
    assert house.reached in ([], ["/first"])


async def test_the_deadline_begins_with_the_first_byte(serve: Serve) -> None:
    house = await serve(receive_seconds=DEADLINE)
    async with house.connected() as (reader, writer):
        await asyncio.sleep(DEADLINE * 0.7)
        writer.write(GET)
        await asyncio.sleep(DEADLINE * 0.7)
        writer.write(b"\r\n")
        assert (await one_answer(reader)).status == 200


async def test_the_deadline_is_for_the_request_and_not_for_its_answer(serve: Serve) -> None:
    house = await serve(receive_seconds=DEADLINE)
    async with house.connected() as (reader, writer):
        writer.write(get().replace(b"/first", b"/hold"))
        await house.held.wait()
        await asyncio.sleep(DEADLINE * 1.5)
        house.release.set()
        assert (await one_answer(reader)).status == 200


async def test_a_connection_may_rest_between_two_requests(serve: Serve) -> None:
    house = await serve(receive_seconds=DEADLINE)
    async with house.connected() as (reader, writer):
        for _ in range(2):
            writer.write(get())
            assert (await one_answer(reader)).status == 200
            await asyncio.sleep(DEADLINE * 1.5)


async def test_a_rest_ends_with_the_first_byte_of_the_next_request(serve: Serve) -> None:
    house = await serve()
    assert house.server is not None
    house.server.config.timeout_keep_alive = 1
    async with house.connected() as (reader, writer):
        writer.write(get())
        await one_answer(reader)
        await asyncio.sleep(0.6)
        writer.write(GET)
        await asyncio.sleep(0.6)
        writer.write(b"\r\n")
        assert (await one_answer(reader)).status == 200


@pytest.mark.parametrize("many", [pytest.param(200, id="T7.8-200-at-once")])
async def test_good_requests_are_answered_while_many_are_slow(serve: Serve, many: int) -> None:
    house = await serve(receive_seconds=4 * DEADLINE)
    crowd = [asyncio.create_task(drip(house, list(SLOW.values())[n % 5])) for n in range(many)]
    answered = 0
    while not all(each.done() for each in crowd):
        assert (await house.say(get(b"Connection: close")))[0].status == 200
        answered += 1
        await asyncio.sleep(0.02)
    lasted = await asyncio.gather(*crowd)
    assert max(lasted) < 4 * DEADLINE + 3
    assert answered > 20


async def test_who_was_refused_and_does_not_leave_is_closed(serve: Serve) -> None:
    house = await serve()
    started = time.monotonic()
    async with house.connected() as (reader, writer):
        writer.write(get(b"bad"))
        assert (await one_answer(reader)).status == 400
        with pytest.raises(ConnectionError):
            await send_without_end(writer, get(), PATIENCE)
    assert 1 < time.monotonic() - started < 10
    assert house.reached == []


# --- leaving ---


async def test_a_drip_does_not_keep_the_server_from_leaving(serve: Serve) -> None:
    house = await serve(receive_seconds=DEADLINE, shutdown_timeout=60)
    assert house.server is not None
    async with house.connected() as (reader, writer):
        writer.write(GET)
        await asyncio.sleep(DEADLINE / 5)
        house.server.should_exit = True
        assert await until_end(reader) == b""
    await house.left()
    assert house.reached == []


async def test_a_request_of_which_a_part_has_come_is_finished_before_leaving(serve: Serve) -> None:
    house = await serve(shutdown_timeout=60)
    assert house.server is not None
    async with house.connected() as (reader, writer):
        writer.write(CHUNKED)
        await asyncio.sleep(DEADLINE / 5)
        house.server.should_exit = True
        await house.refuses()
        writer.write(b"2\r\n{}\r\n" + EMPTY)
        (answer,) = answers(await until_end(reader))
    assert (answer.echo["body"], answer.headers["connection"]) == ("{}", "close")
    await house.left()


async def test_who_rests_or_has_said_nothing_is_closed_when_the_server_leaves(serve: Serve) -> None:
    house = await serve(shutdown_timeout=60)
    assert house.server is not None
    async with house.connected() as (silent, _), house.connected() as (resting, writer):
        writer.write(get())
        await one_answer(resting)
        house.server.should_exit = True
        assert await until_end(silent) == await until_end(resting) == b""
    await house.left()


# --- afterwards ---


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("raw", [b"", GET, CHUNKED, get(), get(b"bad")])
async def test_a_lost_connection_is_forgotten_without_the_garbage_collector(
    serve: Serve, no_garbage_collector: None, raw: bytes
) -> None:
    house = await serve()
    assert house.server is not None
    async with house.connected() as (reader, writer):
        writer.write(raw)
        connections = house.server.server_state.connections
        await until(lambda: bool(connections))
        (connection,) = connections
        assert isinstance(connection, _Gate)
        left = [weakref.ref(connection), weakref.ref(connection._reader)]
        del connection
        if raw.endswith(b"\r\n\r\n") and raw != CHUNKED:
            await one_answer(reader)
    await until(lambda: all(each() is None for each in left))


# --- too many ---


async def test_who_has_kept_us_waiting_longest_makes_room(serve: Serve) -> None:
    house = await serve(max_connections=3)
    async with AsyncExitStack() as stack:
        rested, writer = await stack.enter_async_context(house.connected())
        writer.write(get())
        await one_answer(rested)
        slow, writer = await stack.enter_async_context(house.connected())
        writer.write(GET)
        await stack.enter_async_context(house.connected())
        for _ in range(10):
            assert (await house.say(get(b"Connection: close")))[0].status == 200
        assert await until_end_or_reset(slow) == b""
        assert not rested.at_eof()


async def test_who_rests_makes_room_when_nobody_keeps_us_waiting(serve: Serve) -> None:
    house = await serve(max_connections=1)
    async with house.connected() as (rested, writer):
        writer.write(get())
        await one_answer(rested)
        assert (await house.say(get(b"Connection: close")))[0].status == 200
        assert await until_end_or_reset(rested) == b""


async def test_only_when_all_are_being_answered_the_newcomer_goes(serve: Serve) -> None:
    house = await serve(max_connections=1)
    async with house.connected() as (reader, writer):
        writer.write(get().replace(b"/first", b"/hold"))
        await house.held.wait()
        async with house.connected() as (other, _):
            assert await until_end_or_reset(other) == b""
        house.release.set()
        assert (await one_answer(reader)).status == 200


async def test_what_is_sent_ahead_of_an_answer_is_not_taken_without_end(serve: Serve) -> None:
    house = await serve()
    async with house.connected() as (reader, writer):
        writer.write(get().replace(b"/first", b"/hold"))
        await house.held.wait()
        with pytest.raises(TimeoutError):
            await send_without_end(writer, get() * 100, DEADLINE)
        house.release.set()
        for _ in range(1000):
            assert (await one_answer(reader)).status == 200


async def test_what_is_sent_ahead_does_not_heap_up_while_it_is_answered(serve: Serve) -> None:
    house = await serve()
    number, one = 500, get(b"X: ".ljust(15_000, b"a"))
    async with house.connected() as (reader, writer):
        writer.write(one * number)
        heaps = []
        for _ in range(number):
            assert (await one_answer(reader)).status == 200
            heaps.append(held(house))
    assert max(heaps) < 512 * 1024


def held(house: House) -> int:
    """How many bytes the server keeps of what was sent ahead."""
    assert house.server is not None
    return sum(
        each._reader.held
        for each in house.server.server_state.connections
        if isinstance(each, _Gate)
    )


async def send_without_end(writer: asyncio.StreamWriter, piece: bytes, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)


async def until_end_or_reset(reader: asyncio.StreamReader) -> bytes:
    try:
        return await until_end(reader)
    except ConnectionError:
        return b""
