"""The counts of one process: a sliding window in bounded memory."""

import math
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ratelimits import MAX_NAMES, MemoryCounter
from tests.ratelimits.conftest import Timer

NAME, OTHER = hash("a name"), hash("another")
MINUTE = 60


def admitted(counts: MemoryCounter, attempts: int, name: int = NAME) -> int:
    return sum(counts.count(name) is None for _ in range(attempts))


@pytest.fixture
def thirty(timer: Timer) -> MemoryCounter:
    """Thirty a minute."""
    return MemoryCounter(30, MINUTE, timer)


def test_exactly_the_limit_is_admitted(thirty: MemoryCounter) -> None:
    assert admitted(thirty, 100) == 30


def test_one_name_does_not_count_for_another(thirty: MemoryCounter) -> None:
    assert admitted(thirty, 100) == 30
    assert admitted(thirty, 100, OTHER) == 30


def test_the_previous_minute_still_counts_in_proportion(
    thirty: MemoryCounter, timer: Timer
) -> None:
    timer.now += 59
    assert admitted(thirty, 100) == 30
    timer.now += 2
    assert admitted(thirty, 100) == 1  # of those a second before the turn, nearly all still weigh
    timer.now += 29
    assert admitted(thirty, 100) == 14


def test_two_idle_minutes_reset_the_count(thirty: MemoryCounter, timer: Timer) -> None:
    assert admitted(thirty, 100) == 30
    timer.now += 2 * MINUTE
    assert admitted(thirty, 100) == 30


def test_refusals_do_not_postpone_the_next_possible_request(
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
def test_one_more_is_possible_exactly_at_the_announced_time(
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
def test_no_minute_admits_more_than_twice_the_limit(pauses: list[float]) -> None:
    timer = Timer()
    counts = MemoryCounter(5, MINUTE, timer)
    hits: list[float] = []
    for pause in pauses:
        timer.now += pause
        if counts.count(NAME) is None:
            hits.append(timer.now)
    for hit in hits:
        assert sum(hit - MINUTE < each <= hit for each in hits) <= 2 * 5


def test_memory_is_bounded_for_any_number_of_names(timer: Timer) -> None:
    """Two windows of the size that this bounds, for each of two limits: less than 64 MiB."""
    counts = MemoryCounter(30, MINUTE, timer)
    tracemalloc.start()
    try:
        for number in range(2 * MAX_NAMES + MAX_NAMES // 2):
            counts.count(number)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(counts._current) == MAX_NAMES // 2
    assert len(counts._previous) == MAX_NAMES
    assert 2 * peak < 64 * 2**20


def test_a_full_window_still_limits_its_names(timer: Timer) -> None:
    counts = MemoryCounter(30, MINUTE, timer)
    for number in range(MAX_NAMES - 1):
        counts.count(number)
    assert admitted(counts, 100) == 30
    assert len(counts._current) == MAX_NAMES
    assert admitted(counts, 100, OTHER) == 30  # one name too many starts a new window
    assert (len(counts._current), len(counts._previous)) == (1, MAX_NAMES)
    assert admitted(counts, 100) == 0  # the previous window still counts


def test_a_name_takes_at_most_64_bytes() -> None:
    assert sys.getsizeof(NAME) <= 64
