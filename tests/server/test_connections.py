"""Which connection is evicted at the limit, and how many connections fit."""

import subprocess
import sys
from dataclasses import dataclass

import pytest

from app.server.connections import MAX_CONNECTIONS, RESERVED_FDS, ConnectionLimiter
from tests.support.processes import ROOT


@dataclass
class FakeClock:
    now: float = 0

    def __call__(self) -> float:
        return self.now


class Connection:
    def __init__(self) -> None:
        self.evicted = False

    def evict(self) -> None:
        self.evicted = True


def limiting(connections: int, clock: FakeClock | None = None) -> ConnectionLimiter:
    return ConnectionLimiter(connections, deadline=10, keep_alive=60, clock=clock or FakeClock())


def connections(number: int) -> list[Connection]:
    return [Connection() for _ in range(number)]


def evicted(connections: list[Connection]) -> list[int]:
    return [number for number, each in enumerate(connections) if each.evicted]


def response(limiter: ConnectionLimiter, connection: Connection) -> None:
    """Open a connection, and answer a request on it."""
    limiter.opened(connection)
    limiter.responding(connection)
    limiter.idle(connection)


def test_connections_up_to_the_limit_stay() -> None:
    limiter, some = limiting(3), connections(3)
    for each in some:
        limiter.opened(each)
    assert evicted(some) == []


def test_connection_that_has_waited_longest_for_its_request_is_evicted_first() -> None:
    limiter, some = limiting(2), connections(4)
    for each in some:
        limiter.opened(each)
    assert evicted(some) == [0, 1]


def test_connection_that_is_being_answered_is_not_evicted() -> None:
    limiter, some = limiting(2), connections(3)
    limiter.opened(some[0])
    limiter.responding(some[0])
    limiter.opened(some[1])
    limiter.opened(some[2])
    assert evicted(some) == [1]


def test_idle_connections_are_evicted_after_waiting_ones_and_the_longest_idle_first() -> None:
    limiter, some = limiting(3), connections(6)
    for each in some[:2]:
        response(limiter, each)
    for each in some[2:4]:
        limiter.opened(each)
    assert evicted(some) == [2]
    limiter.responding(some[3])
    limiter.opened(some[4])
    assert evicted(some) == [0, 2]


def test_idle_connection_waits_again_when_its_next_request_begins() -> None:
    limiter, some = limiting(2), connections(3)
    for each in some[:2]:
        response(limiter, each)
    limiter.waiting(some[1])
    limiter.opened(some[2])
    assert evicted(some) == [1]


def test_new_connection_is_evicted_when_all_others_are_being_answered() -> None:
    limiter, some = limiting(1), connections(3)
    limiter.opened(some[0])
    limiter.responding(some[0])
    limiter.opened(some[1])
    assert evicted(some) == [1]
    limiter.closed(some[0])
    limiter.opened(some[2])
    assert evicted(some) == [1]


def test_closed_connection_makes_room() -> None:
    limiter, some = limiting(1), connections(2)
    limiter.opened(some[0])
    limiter.closed(some[0])
    limiter.closed(some[0])
    limiter.opened(some[1])
    assert evicted(some) == []


def test_connections_are_evicted_when_their_time_is_over() -> None:
    clock, some = FakeClock(), connections(4)
    limiter = limiting(4, clock)
    for each in some[:3]:
        limiter.opened(each)
    limiter.responding(some[0])
    clock.now = 9
    limiter.waiting(some[1])  # as when the first bytes come
    response(limiter, some[3])
    limiter.evict_expired()
    assert evicted(some) == []
    clock.now = 10
    limiter.evict_expired()
    assert evicted(some) == [2]
    clock.now = 19
    limiter.evict_expired()
    assert evicted(some) == [1, 2]
    clock.now = 69
    limiter.evict_expired()
    assert evicted(some) == [1, 2, 3]


def fitting(soft: int, hard: int) -> tuple[int, int]:
    """How many connections fit into a process with these limits, and its soft limit then."""
    script = (
        "import resource; from app.server.connections import raise_fd_limit;"
        "of = resource.RLIMIT_NOFILE;"
        f"resource.setrlimit(of, ({soft}, {hard}));"
        "print(raise_fd_limit(), resource.getrlimit(of)[0])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True
    )
    made, limit = printed.stdout.split()
    return int(made), int(limit)


@pytest.mark.parametrize(
    ("soft", "hard", "made", "limit"),
    [
        pytest.param(1024, 8192, MAX_CONNECTIONS, MAX_CONNECTIONS + RESERVED_FDS, id="raised"),
        pytest.param(8192, 8192, MAX_CONNECTIONS, 8192, id="high-enough"),
        pytest.param(1024, 6000, 6000 - RESERVED_FDS, 6000, id="as-far-as-allowed"),
        pytest.param(256, 1024, 512, 1024, id="half-of-little"),
    ],
)
def test_limit_on_open_files_decides_how_many_connections_fit(
    soft: int, hard: int, made: int, limit: int
) -> None:
    assert fitting(soft, hard) == (made, limit)
