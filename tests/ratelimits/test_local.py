"""Limits that each process counts for itself: a sliding window in bounded memory."""

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RateLimited
from app.ratelimits import MAX_NAMES, MemoryCounter, RateLimiter
from tests.ratelimits.conftest import ADDRESS, Timer, admitted
from tests.support.fakes import RecordedEvents

NAME, OTHER = hash("a name"), hash("another")
MINUTE = 60


@pytest.fixture
def limiter(events: RecordedEvents, timer: Timer) -> RateLimiter:
    return RateLimiter(None, secret=lambda: b"s" * 32, events=events, clock=timer)


@pytest.mark.parametrize(
    ("rate", "count", "seconds"),
    [("5/second", 5, 1), ("30/minute", 30, 60), ("60/hour", 60, 3600), ("1/day", 1, 86400)],
)
async def test_a_limit_is_a_count_in_a_time(
    limiter: RateLimiter, timer: Timer, rate: str, count: int, seconds: int
) -> None:
    limit = limiter.limit("login", rate)
    assert await admitted(limit, count + 5) == count
    timer.now += 2 * seconds - 0.001
    assert await admitted(limit, 1) == 1


@pytest.mark.parametrize(
    ("rate", "waited", "seconds"), [("30/minute", 17.5, 43), ("1/minute", 0, 61)]
)
async def test_retry_after_is_in_whole_seconds_and_suffices(
    limiter: RateLimiter, timer: Timer, rate: str, waited: float, seconds: int
) -> None:
    limit = limiter.limit("login", rate)
    timer.now += waited
    await admitted(limit, 30)
    with pytest.raises(RateLimited) as refused:
        await limit(ADDRESS)
    assert refused.value.retry_after == seconds
    timer.now += seconds - 1
    assert await admitted(limit, 1) == 0
    timer.now += 1
    await limit(ADDRESS)


async def test_limits_of_two_kinds_count_separately(limiter: RateLimiter) -> None:
    login, refresh = limiter.limit("login", "3/minute"), limiter.limit("refresh", "5/minute")
    assert await admitted(login, 9) == 3
    assert await admitted(refresh, 9) == 5


async def test_a_limit_that_is_off_admits_everything(limiter: RateLimiter) -> None:
    assert await admitted(limiter.limit("login", None), 1000) == 1000


# --- the counter ---


def count(counts: MemoryCounter, attempts: int, name: int = NAME) -> int:
    return sum(counts.count(name) is None for _ in range(attempts))


@pytest.fixture
def thirty(timer: Timer) -> MemoryCounter:
    """Thirty a minute."""
    return MemoryCounter(30, MINUTE, timer)


def test_one_name_does_not_count_for_another(thirty: MemoryCounter) -> None:
    assert count(thirty, 100) == 30
    assert count(thirty, 100, OTHER) == 30


def test_the_previous_minute_still_counts_in_proportion(
    thirty: MemoryCounter, timer: Timer
) -> None:
    timer.now += 59
    assert count(thirty, 100) == 30
    timer.now += 2
    assert count(thirty, 100) == 1  # of those a second before the turn, nearly all still weigh
    timer.now += 29
    assert count(thirty, 100) == 14


def test_refusals_do_not_postpone_the_next_possible_request(
    thirty: MemoryCounter, timer: Timer
) -> None:
    count(thirty, 30)
    timer.now += 20
    assert [thirty.count(NAME) for _ in range(50)] == [pytest.approx(40)] * 50
    timer.now += 40 + 30  # half of the next window: half of the thirty weigh
    assert count(thirty, 100) == 15
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
    assert count(counts, 100) == 30
    assert len(counts._current) == MAX_NAMES
    assert count(counts, 100, OTHER) == 30  # one name too many starts a new window
    assert (len(counts._current), len(counts._previous)) == (1, MAX_NAMES)
    assert count(counts, 100) == 0  # the previous window still counts
