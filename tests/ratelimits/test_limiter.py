"""Limits that each process counts for itself."""

import pytest

from app.errors import RateLimited
from app.ratelimits import RateLimiter
from tests.ratelimits.conftest import ADDRESS, Timer, admitted
from tests.support.fakes import RecordedEvents


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


async def test_retry_after_is_in_whole_seconds_and_suffices(
    limiter: RateLimiter, timer: Timer
) -> None:
    limit = limiter.limit("login", "30/minute")
    timer.now += 17.5
    await admitted(limit, 30)
    with pytest.raises(RateLimited) as refused:
        await limit(ADDRESS)
    assert refused.value.retry_after == 43
    timer.now += 43
    await limit(ADDRESS)


async def test_retry_after_is_rounded_up_from_whole_seconds_too(
    limiter: RateLimiter, timer: Timer
) -> None:
    limit = limiter.limit("login", "1/minute")
    await limit(ADDRESS)
    with pytest.raises(RateLimited) as refused:
        await limit(ADDRESS)
    assert refused.value.retry_after == 61
    timer.now += 60
    assert await admitted(limit, 1) == 0
    timer.now += 1
    assert await admitted(limit, 1) == 1


async def test_limits_of_two_kinds_count_separately(limiter: RateLimiter) -> None:
    login, refresh = limiter.limit("login", "3/minute"), limiter.limit("refresh", "5/minute")
    assert await admitted(login, 9) == 3
    assert await admitted(refresh, 9) == 5


async def test_a_limit_that_is_off_admits_everything(limiter: RateLimiter) -> None:
    assert await admitted(limiter.limit("login", None), 1000) == 1000
