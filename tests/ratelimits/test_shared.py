"""Counts in a real Valkey: shared by all instances, hashed, and never waited for."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest

from app.errors import RateLimited
from app.ratelimits import RateLimiter
from app.sessions.ports import RateLimit
from app.store_url import RedisUrl, parse_store_url
from app.stores.redis import open_redis_store
from tests.ratelimits.conftest import ADDRESS, Timer, admitted
from tests.support.fakes import RecordedEvents
from tests.support.valkey.process import Server

SESSION = "a-session-of-somebody!"
SECRET = b"the same in the whole fleet"
PATIENT: dict[str, Any] = {"timeout": 30}
"""Where the test is not about time, and the machine may be busy."""
NOT_WORTH_WAITING = 0.3 + 0.6
"""Seconds: the deadline, and how late a busy machine may be."""


class Instance(Protocol):
    """Opens the limiter of one instance of the service."""

    async def __call__(self, url: str = ..., **more: Any) -> RateLimiter: ...


@pytest.fixture
async def instance(valkey: Server, events: RecordedEvents, timer: Timer) -> AsyncIterator[Instance]:
    async with AsyncExitStack() as stack:

        async def opened(url: str = valkey.url, **more: Any) -> RateLimiter:
            address = parse_store_url(url)
            assert isinstance(address, RedisUrl)
            store = await stack.enter_async_context(open_redis_store(address, RecordedEvents()))
            fixed: dict[str, Any] = {"secret": lambda: SECRET, "clock": timer, "events": events}
            return RateLimiter(store.count, **fixed | more)

        yield opened


@pytest.fixture
async def limit(instance: Instance) -> RateLimit:
    return (await instance()).limit("login", "30/minute")


@pytest.mark.parametrize("servers", ["valkey", "valkey_sentinels"])
async def test_instances_count_together_and_admit_exactly_the_limit(
    instance: Instance, request: pytest.FixtureRequest, events: RecordedEvents, servers: str
) -> None:
    url = request.getfixturevalue(servers).url
    limits = [(await instance(url, **PATIENT)).limit("login", "30/hour") for _ in range(4)]
    counts = await asyncio.gather(*(admitted(limit, 1) for limit in limits for _ in range(50)))
    assert (sum(counts), events.names) == (30, [])


# --- what is kept there ---


async def test_counts_are_stored_under_keyed_hashes_and_expire(
    instance: Instance, valkey: Server
) -> None:
    limiter = await instance(**PATIENT)
    await limiter.limit("login", "30/minute")(ADDRESS)
    await limiter.limit("refresh", "60/minute")(SESSION)
    keys = valkey.cli("KEYS", "*")
    assert len(keys) == 2
    assert all(key.startswith("{tg}:limit:") for key in keys)
    assert not any(
        name in key for key in keys for name in (ADDRESS, SESSION, ADDRESS.encode().hex())
    )
    assert all(0 < valkey.cli("PTTL", key) <= 120_000 for key in keys)


async def test_instances_with_another_secret_compute_other_hashes(
    instance: Instance, valkey: Server
) -> None:
    for secret in (SECRET, SECRET, b"another"):
        limiter = await instance(**PATIENT, secret=lambda key=secret: key)
        await limiter.limit("login", "30/minute")(ADDRESS)
    assert len(valkey.cli("KEYS", "*")) == 2


async def test_a_refusal_announces_when_one_more_is_possible(
    instance: Instance, valkey: Server
) -> None:
    limit = (await instance(**PATIENT)).limit("login", "2/second")
    assert await admitted(limit, 2) == 2
    with pytest.raises(RateLimited) as refused:
        await limit(ADDRESS)
    assert refused.value.retry_after in (1, 2)
    await asyncio.sleep(refused.value.retry_after)
    await limit(ADDRESS)


# --- when the store is down or slow ---


async def test_the_local_limit_applies_without_the_store(
    limit: RateLimit, valkey: Server, events: RecordedEvents
) -> None:
    assert await admitted(limit, 40) == 30
    valkey.kill()
    started = time.monotonic()
    assert await admitted(limit, 100) == 30
    assert await admitted(limit, 100, "192.0.2.8") == 30
    assert time.monotonic() - started < NOT_WORTH_WAITING
    assert events.names == ["rate_limits_local"]
    assert events.entries[0][2] == {"kind": "ConnectionError"}


async def test_a_hanging_store_delays_one_request_for_a_moment(
    limit: RateLimit, valkey: Server, events: RecordedEvents
) -> None:
    assert await admitted(limit, 1) == 1
    valkey.freeze()
    started = time.monotonic()
    assert await admitted(limit, 1) == 1
    assert 0.25 < time.monotonic() - started < NOT_WORTH_WAITING
    assert await admitted(limit, 100) == 29
    assert time.monotonic() - started < NOT_WORTH_WAITING
    assert events.names == ["rate_limits_local"]


async def test_concurrent_requests_wait_together_for_a_hanging_store(
    limit: RateLimit, valkey: Server, events: RecordedEvents
) -> None:
    valkey.freeze()
    started = time.monotonic()
    counts = await asyncio.gather(*(admitted(limit, 1) for _ in range(200)))
    assert time.monotonic() - started < NOT_WORTH_WAITING
    assert (sum(counts), events.names) == (30, ["rate_limits_local"])


async def test_a_late_reply_from_before_an_outage_does_not_end_it(
    events: RecordedEvents, timer: Timer
) -> None:
    replies: asyncio.Queue[asyncio.Future[float | None]] = asyncio.Queue()

    async def count(_name: str, _amount: int, _seconds: int) -> float | None:
        reply: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        replies.put_nowait(reply)
        return await reply

    limiter = RateLimiter(count, secret=lambda: SECRET, events=events, clock=timer, **PATIENT)
    limit = limiter.limit("login", "30/minute")
    early, late = asyncio.create_task(limit(ADDRESS)), asyncio.create_task(limit(ADDRESS))
    first, second = await replies.get(), await replies.get()
    first.set_exception(ConnectionError())
    await early
    second.set_result(None)
    await late
    assert await admitted(limit, 40) == 29  # beside the early one, which was counted here
    assert replies.empty()
    assert events.names == ["rate_limits_local"]


async def test_one_request_probes_after_the_cooldown_and_others_do_not_wait(
    instance: Instance, valkey: Server, events: RecordedEvents, timer: Timer
) -> None:
    limiter = await instance(**PATIENT)
    limit = limiter.limit("login", "30/minute")
    valkey.kill()
    await limit(ADDRESS)
    valkey.start()
    valkey.freeze()
    timer.now += 5
    looking = asyncio.create_task(limit(ADDRESS))
    await asyncio.sleep(0)
    assert await admitted(limit, 20) == 20
    assert not looking.done()
    valkey.thaw()
    await looking
    assert events.names == ["rate_limits_local", "rate_limits_shared"]


async def test_counting_resumes_when_the_store_is_back(
    instance: Instance, valkey: Server, events: RecordedEvents, timer: Timer
) -> None:
    limiter = await instance()
    limit = limiter.limit("login", "30/hour")
    assert await admitted(limit, 29) == 29
    valkey.freeze()
    assert await admitted(limit, 1) == 1
    valkey.thaw()
    timer.now += 4.9
    assert await admitted(limit, 40) == 29  # still resting, and counting alone
    timer.now += 0.1
    assert await admitted(limit, 40) <= 1  # the one that was given up may have been counted
    assert events.names == ["rate_limits_local", "rate_limits_shared"]
    valkey.kill()
    await admitted(limit, 2)
    assert events.names == ["rate_limits_local", "rate_limits_shared", "rate_limits_local"]


async def test_an_abandoned_reply_reaches_no_other_request(
    instance: Instance, valkey: Server, timer: Timer
) -> None:
    limiter = await instance()
    full, empty = limiter.limit("login", "1/hour"), limiter.limit("refresh", "1000/hour")
    assert await admitted(full, 2) == 1
    for _ in range(6):
        valkey.freeze()
        waiting = [asyncio.create_task(admitted(full, 1)) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        valkey.thaw()
        timer.now += 5
        assert await admitted(empty, 100) == 100
        assert await admitted(full, 20) == 0
