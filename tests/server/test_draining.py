"""A real process that gets real signals drains before it stops."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvloop

from app.server.draining import DrainingServer, bind
from tests.server.conftest import TIMEOUT, Echo, Serve, next_response, responses, until_end
from tests.server.examples import CHUNKED, EMPTY, get
from tests.support.processes import ROOT, Program, soon, until

FOREVER = 60.0
LATE = 20
SCRIPT = str(ROOT / "tests" / "e2e" / "slow_server.py")


@dataclass
class Process:
    program: Program
    url: str
    threads: ThreadPoolExecutor

    def ask(self, path: str = "/") -> str:
        """Make a request over a connection of its own."""
        with httpx.Client(trust_env=False, timeout=FOREVER) as client:
            return client.get(self.url + path).text

    def ask_slowly(self) -> Future[str]:
        """Begin a request that stays in flight until `release`."""
        pending = self.threads.submit(self.ask, "/hold")
        self.program.line_with("holding")
        return pending

    def release(self) -> None:
        self.program.write("\n")

    def is_draining(self) -> bool:
        return self.ask() == "draining"

    def refuses(self) -> bool:
        try:
            self.ask()
        except httpx.TransportError:
            return True
        return False

    def was_signalled(self) -> bool:
        """Whether it drains, or has stopped already."""
        with suppress(httpx.TransportError):
            return self.is_draining()
        return True


Start = Callable[..., Process]


def was_finished(pending: Future[str]) -> bool:
    """Whether the application itself has responded."""
    try:
        return pending.result() in ("serving", "draining")
    except httpx.TransportError:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs: list[Program] = []
    with ThreadPoolExecutor() as threads:

        def start(*, drain_delay: float, shutdown_timeout: int = 60) -> Process:
            times = [f"--drain-delay={drain_delay}", f"--shutdown-timeout={shutdown_timeout}"]
            program = Program(tmp_path, SCRIPT, *times)
            programs.append(program)
            port = program.line_with("port").split()[1]
            return Process(program, f"http://127.0.0.1:{port}", threads)

        yield start
        for program in programs:
            program.close()


def test_sigterm_drains_for_the_delay_and_then_exits_with_0(start: Start) -> None:
    delay = 1.5
    server = start(drain_delay=delay)
    assert not server.is_draining()

    signalled = time.monotonic()
    server.program.send(signal.SIGTERM)
    soon(server.is_draining)

    assert time.monotonic() - signalled < delay
    assert server.is_draining()  # over another new connection
    assert server.program.wait() == 0
    assert time.monotonic() - signalled >= delay
    assert server.program.err == ""


@pytest.mark.parametrize("signals", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]])
def test_second_sigterm_and_ctrl_c_skip_the_delay(
    start: Start, signals: list[signal.Signals]
) -> None:
    server = start(drain_delay=FOREVER)
    for each in signals:
        server.program.send(each)
        soon(server.was_signalled)
    assert server.program.wait(FOREVER / 2) == 0
    assert server.program.err == ""


@pytest.mark.parametrize(("delay", "times"), [(0, 1), (0.5, 2)], ids=["sigterm", "sigterm-twice"])
def test_request_in_flight_is_answered_after_accepting_stops(
    start: Start, delay: float, times: int
) -> None:
    server = start(drain_delay=delay)
    pending = server.ask_slowly()
    for _ in range(times):
        server.program.send(signal.SIGTERM)
        soon(server.was_signalled)
    soon(server.refuses)
    assert server.program.runs_for(delay + 0.5)  # longer than the delay that was skipped
    assert not pending.done()
    server.release()
    assert was_finished(pending)
    assert server.program.wait() == 0


def test_request_beyond_the_shutdown_timeout_is_answered_as_an_internal_error(start: Start) -> None:
    server = start(drain_delay=0, shutdown_timeout=1)
    pending = server.ask_slowly()

    server.program.send(signal.SIGTERM)

    problem = json.loads(pending.result())
    assert (problem["status"], problem["code"]) == (500, "internal_error")
    assert (problem["client_action"], problem["session_alive"]) == ("retry", "unknown")
    assert server.program.wait(FOREVER / 2) == 0
    assert server.program.err == ""


def test_second_ctrl_c_drops_requests_in_flight(start: Start) -> None:
    server = start(drain_delay=0)
    pending = server.ask_slowly()
    server.program.send(signal.SIGINT)
    soon(server.refuses)

    server.program.send(signal.SIGINT)

    assert server.program.wait(FOREVER / 2) == 0
    assert not was_finished(pending)


async def test_every_response_closes_its_connection_while_the_server_drains(serve: Serve) -> None:
    drain = asyncio.Event()
    server = await serve(drain=drain)
    async with server.connected() as (reader, writer):
        writer.write(get())
        assert "connection" not in (await next_response(reader)).headers
        drain.set()
        writer.write(get())
        (last,) = responses(await until_end(reader))
        assert (last.status, last.headers["connection"]) == (200, "close")


async def test_half_a_request_may_be_completed_while_the_server_stops(serve: Serve) -> None:
    server = await serve(shutdown_timeout=60)
    async with server.connected() as (reader, writer):
        writer.write(CHUNKED)
        await until(lambda: any(each._reader.begun for each in server.connections()))
        (connection,) = server.connections()
        server.server.should_exit = True
        await until(lambda: connection._leaving)
        writer.write(b"2\r\n{}\r\n" + EMPTY)
        (response,) = responses(await until_end(reader))
    assert (response.echo["body"], response.headers["connection"]) == ("{}", "close")
    await server.stopped()


async def test_idle_and_silent_connections_are_closed_when_the_server_stops(serve: Serve) -> None:
    server = await serve(shutdown_timeout=60)
    async with server.connected() as (silent, _), server.connected() as (idle, writer):
        writer.write(get())
        await next_response(idle)
        server.server.should_exit = True
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
