"""The server drains before it stops. `tests/e2e/test_user_journey.py` sends a real signal."""

import asyncio
import signal
import socket
import time

import pytest
import uvloop

from app.server.draining import DrainingServer, bind
from tests.server.conftest import TIMEOUT, Echo, Serve, next_response, responses, until_end
from tests.server.examples import CHUNKED, EMPTY, HOLD, get
from tests.support.processes import until

FOREVER = 60.0
LATE = 20


async def test_sigterm_drains_for_the_delay_and_then_stops(serve: Serve) -> None:
    server = await serve(drain_delay=0.5)
    async with server.connected() as (reader, writer):
        writer.write(get())
        assert "connection" not in (await next_response(reader)).headers
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        writer.write(get())  # while it drains, every response closes its connection
        old, new = responses(await until_end(reader)), await server.say(get())
    assert [each.headers["connection"] for each in old + new] == ["close", "close"]
    await server.stopped()
    assert time.monotonic() - begun >= 0.5


@pytest.mark.parametrize("signals", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]])
async def test_second_sigterm_and_ctrl_c_skip_the_delay(
    serve: Serve, signals: list[signal.Signals]
) -> None:
    server = await serve(drain_delay=FOREVER)
    for each in signals:
        server.signal(each)
    await server.stopped()


@pytest.mark.parametrize("times", [1, 2])
async def test_request_in_flight_is_answered_after_accepting_stops(
    serve: Serve, times: int
) -> None:
    server = await serve(drain_delay=FOREVER * (times - 1))
    async with server.connected() as (reader, writer):
        writer.write(HOLD)
        await server.held.wait()
        for _ in range(times):
            server.signal(signal.SIGTERM)
        await until(server.has_stopped_accepting)
        await asyncio.sleep(0.5)
        assert not server.running.done()
        server.release.set()
        (response,) = responses(await until_end(reader))
    assert response.status == 200
    await server.stopped()


async def test_request_beyond_the_shutdown_timeout_is_answered_as_an_internal_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(shutdown_timeout=1)
    async with server.connected() as (reader, writer):
        writer.write(HOLD)
        await server.held.wait()
        server.signal(signal.SIGTERM)
        (response,) = responses(await until_end(reader))
    problem = response.echo
    assert (problem["status"], problem["code"]) == (500, "internal_error")
    assert (problem["client_action"], problem["session_alive"]) == ("retry", "unknown")
    await server.stopped()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_second_ctrl_c_does_not_wait_for_requests_in_flight(serve: Serve) -> None:
    server = await serve(shutdown_timeout=60)
    async with server.connected() as (_, writer):
        writer.write(HOLD)
        await server.held.wait()
        server.signal(signal.SIGINT)
        await until(server.has_stopped_accepting)
        server.signal(signal.SIGINT)
        await server.stopped()
        assert server.server.server_state.tasks
        server.release.set()
        await until(lambda: not server.server.server_state.tasks)


async def test_half_a_request_may_be_completed_while_the_server_stops(serve: Serve) -> None:
    server = await serve(shutdown_timeout=60)
    async with server.connected() as (reader, writer):
        writer.write(CHUNKED)
        await until(lambda: any(each._reader.begun for each in server.connections()))
        (connection,) = server.connections()
        server.signal(signal.SIGTERM)
        await until(lambda: connection._shutting_down)
        writer.write(b"2\r\n{}\r\n" + EMPTY)
        (response,) = responses(await until_end(reader))
    assert (response.echo["body"], response.headers["connection"]) == ("{}", "close")
    await server.stopped()


async def test_idle_and_silent_connections_are_closed_when_the_server_stops(serve: Serve) -> None:
    server = await serve(shutdown_timeout=60)
    async with server.connected() as (silent, _), server.connected() as (idle, writer):
        writer.write(get())
        await next_response(idle)
        server.signal(signal.SIGTERM)
        assert await until_end(silent) == await until_end(idle) == b""
    await server.stopped()


def test_client_in_the_accept_queue_is_answered_when_the_server_stops() -> None:
    # uvloop, as in production: asyncio's loop drops a connection that it accepts while closing.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        said = runner.run(_ask_while_it_stops())
    assert [response.status for (response,) in map(responses, said)] == [200] * LATE


async def _ask_while_it_stops() -> list[bytes]:
    server = DrainingServer(
        Echo().app,
        drain=asyncio.Event(),
        drain_delay=0,
        shutdown_timeout=5,
        keep_alive=60,
        on_start=lambda _port: None,
    )
    with bind("127.0.0.1", 0) as listener:
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup([listener])
        # Nothing is awaited here, so they wait in the kernel's queue when the server stops.
        late = [socket.create_connection(listener.getsockname(), TIMEOUT) for _ in range(LATE)]
        for each in late:
            each.sendall(get())
        await server.shutdown([listener])
    return [_read(each) for each in late]


def _read(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as response:
        return response.read()
