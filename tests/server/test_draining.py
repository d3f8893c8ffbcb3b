"""Leaving without dropping anybody, by a real process that is sent real signals."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.server.draining import Drain
from tests.support.processes import ROOT, Program, machine, soon

FOREVER = 60.0
SCRIPT = str(ROOT / "tests" / "e2e" / "slow_server.py")


@dataclass
class Server:
    program: Program
    url: str
    threads: ThreadPoolExecutor

    def ask(self, path: str = "/") -> str:
        """Make a request over a connection of its own."""
        with httpx.Client(trust_env=False, timeout=FOREVER) as client:
            return client.get(self.url + path).text

    def ask_slowly(self) -> Future[str]:
        """Begin a request that stays in flight until `release`."""
        answer = self.threads.submit(self.ask, "/hold")
        self.program.line_with("holding")
        return answer

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


Start = Callable[..., Server]


def was_finished(answer: Future[str]) -> bool:
    """Whether it is the application's answer, not the server's excuse or nothing at all."""
    try:
        return answer.result() in ("serving", "draining")
    except httpx.TransportError:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs: list[Program] = []
    with ThreadPoolExecutor() as threads:

        def start(*, drain_delay: float, shutdown_timeout: int = 60) -> Server:
            times = [f"--drain-delay={drain_delay}", f"--shutdown-timeout={shutdown_timeout}"]
            program = Program(tmp_path, SCRIPT, *times, environment=machine())
            programs.append(program)
            port = program.line_with("port").split()[1]
            return Server(program, f"http://127.0.0.1:{port}", threads)

        yield start
        for program in programs:
            program.close()


def test_a_drain_begins_once_and_for_all() -> None:
    drain = Drain()
    assert not drain.started()

    drain.start()
    drain.start()

    assert drain.started()


def test_after_sigterm_it_says_so_at_once_serves_on_and_then_leaves_with_success(
    start: Start,
) -> None:
    delay = 1.5
    server = start(drain_delay=delay)
    assert not server.is_draining()

    asked_to_leave = time.monotonic()
    server.program.send(signal.SIGTERM)
    soon(server.is_draining)

    assert time.monotonic() - asked_to_leave < delay
    assert server.is_draining()  # over another new connection
    assert server.program.wait() == 0
    assert time.monotonic() - asked_to_leave >= delay
    assert server.program.err == ""


def test_a_second_sigterm_does_not_wait_for_the_delay(start: Start) -> None:
    server = start(drain_delay=FOREVER)
    server.program.send(signal.SIGTERM)
    soon(server.is_draining)

    server.program.send(signal.SIGTERM)

    assert server.program.wait(FOREVER / 2) == 0


def test_ctrl_c_does_not_wait_for_the_delay(start: Start) -> None:
    server = start(drain_delay=FOREVER)

    server.program.send(signal.SIGINT)

    assert server.program.wait(FOREVER / 2) == 0
    assert server.program.err == ""


def test_a_request_in_flight_is_finished_after_nothing_new_is_accepted(start: Start) -> None:
    server = start(drain_delay=0)
    answer = server.ask_slowly()

    server.program.send(signal.SIGTERM)
    soon(server.refuses)
    assert not answer.done()
    server.release()

    assert was_finished(answer)
    assert server.program.wait() == 0


def test_a_request_in_flight_is_finished_even_if_sigterm_came_twice(start: Start) -> None:
    delay = 0.5
    server = start(drain_delay=delay)
    answer = server.ask_slowly()
    server.program.send(signal.SIGTERM)
    soon(server.is_draining)

    server.program.send(signal.SIGTERM)
    soon(server.refuses)

    assert server.program.runs_for(delay + 0.5)  # beyond the end of the delay that was cut short
    server.release()
    assert was_finished(answer)
    assert server.program.wait() == 0


def test_a_request_that_does_not_end_is_given_up_when_the_time_is_over(start: Start) -> None:
    server = start(drain_delay=0, shutdown_timeout=1)
    answer = server.ask_slowly()

    server.program.send(signal.SIGTERM)

    assert server.program.wait(FOREVER / 2) == 0
    assert not was_finished(answer)


def test_a_second_ctrl_c_gives_up_what_is_in_flight(start: Start) -> None:
    server = start(drain_delay=0)
    answer = server.ask_slowly()
    server.program.send(signal.SIGINT)
    soon(server.refuses)

    server.program.send(signal.SIGINT)

    assert server.program.wait(FOREVER / 2) == 0
    assert not was_finished(answer)
