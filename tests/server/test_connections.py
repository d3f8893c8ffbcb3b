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


def played(limit: int, *steps: str) -> list[int]:
    """Return the numbers of the evicted connections, after steps such as `opened 0`.

    `now 9` sets the clock. A connection must act within 10 seconds and may be idle for 60.
    """
    clock, some = FakeClock(), [Connection() for _ in range(6)]
    limiter = ConnectionLimiter(limit, deadline=10, keep_alive=60, clock=clock)
    for step in steps:
        name, _, number = step.partition(" ")
        if name == "now":
            clock.now = int(number)
            limiter.evict_expired()
        else:
            getattr(limiter, name)(some[int(number)])
    return [number for number, each in enumerate(some) if each.evicted]


ANSWERED = ["opened 0", "responding 0", "idle 0", "opened 1", "responding 1", "idle 1"]


@pytest.mark.parametrize(
    ("limit", "steps", "evicted"),
    [
        pytest.param(3, ["opened 0", "opened 1", "opened 2"], [], id="up-to-the-limit"),
        pytest.param(2, [f"opened {n}" for n in range(4)], [0, 1], id="waited-longest"),
        pytest.param(
            2, ["opened 0", "responding 0", "opened 1", "opened 2"], [1], id="not-while-answered"
        ),
        pytest.param(3, [*ANSWERED, "opened 2", "opened 3"], [2], id="waiting-before-idle"),
        pytest.param(
            3, [*ANSWERED, "opened 2", "responding 2", "opened 3"], [0], id="longest-idle"
        ),
        pytest.param(2, [*ANSWERED, "waiting 1", "opened 2"], [1], id="next-request-has-begun"),
        pytest.param(1, ["opened 0", "responding 0", "opened 1"], [1], id="new-one-if-all-busy"),
        pytest.param(
            1,
            ["opened 0", "responding 0", "opened 1", "closed 0", "opened 2"],
            [1],
            id="closed-after-an-eviction",
        ),
        pytest.param(1, ["opened 0", "closed 0", "closed 0", "opened 1"], [], id="closed-twice"),
    ],
)
def test_connection_that_keeps_the_server_waiting_longest_is_evicted_at_the_limit(
    limit: int, steps: list[str], evicted: list[int]
) -> None:
    assert played(limit, *steps) == evicted


@pytest.mark.parametrize(("now", "evicted"), [(9, []), (10, [2]), (19, [1, 2]), (69, [1, 2, 3])])
def test_connections_are_evicted_when_their_time_is_over(now: int, evicted: list[int]) -> None:
    start = ["opened 0", "opened 1", "opened 2", "responding 0", "now 9"]
    first_bytes = ["waiting 1", "opened 3", "responding 3", "idle 3"]
    assert played(4, *start, *first_bytes, f"now {now}") == evicted


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
