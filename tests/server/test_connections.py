"""Who makes room when there are too many connections, and how many there may be."""

import subprocess
import sys

import pytest

from app.server.connections import MAX_CONNECTIONS, RESERVED_FDS, ConnectionLimiter
from tests.support.processes import ROOT


class Connection:
    def __init__(self) -> None:
        self.gone = False

    def make_room(self) -> None:
        self.gone = True


def guests(number: int) -> list[Connection]:
    return [Connection() for _ in range(number)]


def gone(guests: list[Connection]) -> list[int]:
    return [number for number, guest in enumerate(guests) if guest.gone]


def test_as_many_as_there_are_places_may_stay() -> None:
    lobby, crowd = ConnectionLimiter(3), guests(3)
    for guest in crowd:
        lobby.enter(guest)
    assert gone(crowd) == []


def test_the_first_whose_request_is_due_goes_first() -> None:
    lobby, crowd = ConnectionLimiter(2), guests(4)
    for guest in crowd:
        lobby.enter(guest)
    assert gone(crowd) == [0, 1]


def test_who_is_being_answered_stays() -> None:
    lobby, crowd = ConnectionLimiter(2), guests(3)
    lobby.enter(crowd[0])
    lobby.serves(crowd[0])
    lobby.enter(crowd[1])
    lobby.enter(crowd[2])
    assert gone(crowd) == [1]


def test_who_rests_goes_after_those_whose_request_is_due_and_the_longest_first() -> None:
    lobby, crowd = ConnectionLimiter(3), guests(6)
    for guest in crowd[:2]:
        lobby.enter(guest)
        lobby.serves(guest)
        lobby.rests(guest)
    for guest in crowd[2:4]:
        lobby.enter(guest)
    assert gone(crowd) == [2]
    lobby.serves(crowd[3])
    lobby.enter(crowd[4])
    assert gone(crowd) == [0, 2]


def test_who_begins_another_request_is_due_again() -> None:
    lobby, crowd = ConnectionLimiter(2), guests(3)
    for guest in crowd[:2]:
        lobby.enter(guest)
        lobby.serves(guest)
        lobby.rests(guest)
    lobby.awaits(crowd[1])
    lobby.enter(crowd[2])
    assert gone(crowd) == [1]


def test_the_newcomer_goes_when_all_others_are_being_answered() -> None:
    lobby, crowd = ConnectionLimiter(1), guests(3)
    lobby.enter(crowd[0])
    lobby.serves(crowd[0])
    lobby.enter(crowd[1])
    assert gone(crowd) == [1]
    lobby.leave(crowd[0])
    lobby.enter(crowd[2])
    assert gone(crowd) == [1]


def test_who_has_left_leaves_a_place() -> None:
    lobby, crowd = ConnectionLimiter(1), guests(2)
    lobby.enter(crowd[0])
    lobby.leave(crowd[0])
    lobby.leave(crowd[0])
    lobby.enter(crowd[1])
    assert gone(crowd) == []


def places(soft: int, hard: int) -> tuple[int, int]:
    """The places that a process with these limits makes, and its soft limit then."""
    script = (
        "import resource; from app.server.connections import raise_fd_limit;"
        "of = resource.RLIMIT_NOFILE;"
        f"resource.setrlimit(of, ({soft}, {hard})); print(raise_fd_limit(), resource.getrlimit(of)[0])"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True)
    made, limit = said.stdout.split()
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
def test_there_are_places_as_the_limit_on_open_files_allows(
    soft: int, hard: int, made: int, limit: int
) -> None:
    assert places(soft, hard) == (made, limit)
