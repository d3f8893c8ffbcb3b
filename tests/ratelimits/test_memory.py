"""The counts of one process: a sliding window that holds, tells when, and stays small."""

import math
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ratelimits.memory import MAX_NAMES, MemoryCounter
from tests.ratelimits.conftest import Timer

NAME = b"sixteen bytes ab"
OTHER = b"sixteen bytes cd"
MINUTE = 60


def admitted(counts: MemoryCounter, attempts: int, name: bytes = NAME) -> int:
    return sum(counts.count(name) is None for _ in range(attempts))


@pytest.fixture
def thirty(timer: Timer) -> MemoryCounter:
    """Thirty a minute."""
    return MemoryCounter(30, MINUTE, timer)


def test_as_many_as_the_limit_says_are_admitted_and_no_more(thirty: MemoryCounter) -> None:
    assert admitted(thirty, 100) == 30


def test_one_name_does_not_count_for_another(thirty: MemoryCounter) -> None:
    assert admitted(thirty, 100) == 30
    assert admitted(thirty, 100, OTHER) == 30


def test_a_new_minute_does_not_begin_with_a_clean_slate(
    thirty: MemoryCounter, timer: Timer
) -> None:
    timer.now += 59
    assert admitted(thirty, 100) == 30
    timer.now += 2
    assert admitted(thirty, 100) == 1  # of those a second before the turn, nearly all still weigh
    timer.now += 29
    assert admitted(thirty, 100) == 14


def test_two_idle_minutes_forget_everything(thirty: MemoryCounter, timer: Timer) -> None:
    assert admitted(thirty, 100) == 30
    timer.now += 2 * MINUTE
    assert admitted(thirty, 100) == 30


def test_who_is_refused_is_told_when_and_refusals_do_not_push_that_away(
    thirty: MemoryCounter, timer: Timer
) -> None:
    admitted(thirty, 30)
    timer.now += 20
    assert [thirty.count(NAME) for _ in range(50)] == [pytest.approx(40)] * 50
    timer.now += 40 + 30  # half of the next window: half of the thirty weigh
    assert admitted(thirty, 100) == 15
    assert thirty.count(NAME) == pytest.approx(0)
    timer.now += 0.5
    assert thirty.count(NAME) is None
    assert thirty.count(NAME) == pytest.approx(1.5)  # a thirtieth of a minute for one more


@given(
    amount=st.integers(1, 40),
    seconds=st.sampled_from([1, 60, 3600]),
    pauses=st.lists(st.floats(0, 1), max_size=60),
)
def test_one_more_is_possible_when_it_was_said_to_be_and_not_before(
    amount: int, seconds: int, pauses: list[float]
) -> None:
    timer = Timer()
    counts = MemoryCounter(amount, seconds, timer)
    for pause in pauses:
        timer.now += pause * seconds
        while (wait := counts.count(NAME)) is None:
            pass
        assert 0 <= wait <= seconds
        before = wait - 0.001 * seconds
        if before > 0:
            timer.now += before
            assert counts.count(NAME) is not None
            timer.now -= before
        timer.now += math.ceil(wait + 0.001)
        assert counts.count(NAME) is None


@given(pauses=st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_never_more_than_twice_the_limit_in_any_minute_at_any_rhythm(pauses: list[float]) -> None:
    timer = Timer()
    counts = MemoryCounter(5, MINUTE, timer)
    hits: list[float] = []
    for pause in pauses:
        timer.now += pause
        if counts.count(NAME) is None:
            hits.append(timer.now)
    for hit in hits:
        assert sum(hit - MINUTE < each <= hit for each in hits) <= 2 * 5


def test_memory_is_bounded_however_many_names_come(timer: Timer) -> None:
    """Two windows of the size that this bounds, for each of two limits: less than 64 MiB."""
    counts = MemoryCounter(30, MINUTE, timer)
    tracemalloc.start()
    try:
        for number in range(2 * MAX_NAMES + MAX_NAMES // 2):
            counts.count(number.to_bytes(16, "big"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(counts._current) == MAX_NAMES // 2
    assert len(counts._previous) == MAX_NAMES
    assert 2 * peak < 64 * 2**20


def test_a_full_window_still_limits_those_who_are_in_it(timer: Timer) -> None:
    counts = MemoryCounter(30, MINUTE, timer)
    for number in range(MAX_NAMES - 1):
        counts.count(number.to_bytes(16, "big"))
    assert admitted(counts, 100) == 30
    assert len(counts._current) == MAX_NAMES
    assert admitted(counts, 100, OTHER) == 30  # who comes on top begins a new window
    assert (len(counts._current), len(counts._previous)) == (1, MAX_NAMES)
    assert admitted(counts, 100) == 0  # which forgets nobody of the last one


def test_a_name_takes_as_little_room_as_it_can() -> None:
    assert sys.getsizeof(NAME) <= 64
