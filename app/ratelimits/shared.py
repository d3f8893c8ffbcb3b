"""Counts that all instances share, in Redis or Valkey.

A count that takes too long is abandoned. The store is then not asked for some seconds, so that a
slow store does not delay every request.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import limits
from limits.aio.storage import RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from app.events import Events

if TYPE_CHECKING:  # an extra, which a service over SQLite has not installed
    from redis.asyncio import Redis

COOLDOWN = 5.0
"""Seconds for which the store is not asked after a failure."""
KEY_PREFIX = "{tg}:limit"
"""In the namespace of the store, so that one pattern allows all our keys (ACL)."""
_MAX_CONCURRENT = 8
"""Further counts wait, within their time-out."""


def redis_storage(client: "Redis") -> Storage:
    """Keep counts in this Redis or Valkey.

    The client must not be the one of the store: an abandoned count must not affect a connection
    that commands about sessions use.
    """
    # Documented as any object, annotated as a plain value.
    pool: Any = client.connection_pool
    return RedisStorage(
        "async+redis://", implementation="redispy", key_prefix=KEY_PREFIX, connection_pool=pool
    )


class CounterUnavailable(Exception):
    """The shared store was not asked, or has not replied in time."""


class SharedCounter:
    """Counts in a storage of the `limits` library.

    A failure of the storage is recorded once, as `rate_limits_local`, and its return once, as
    `rate_limits_shared`. `timeout` in seconds.
    """

    def __init__(
        self, storage: Storage, events: Events, clock: Callable[[], float], timeout: float
    ) -> None:
        self._windows = SlidingWindowCounterRateLimiter(storage)
        self._events = events
        self._clock = clock
        self._timeout = timeout
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._down = False
        self._retry_at = clock()

    async def count(self, rate: limits.RateLimitItem, *name: str) -> float | None:
        """Count one and return None, or the seconds until the next; or raise CounterUnavailable."""
        was_down = self._down
        if was_down:
            self._half_open()
        # In a task of its own: on Python 3.11 the client library may swallow a cancellation
        # (`asyncio.wait_for` does) and go on.
        asking = asyncio.create_task(self._ask(rate, *name))
        # Retrieved, because after the time-out there is no caller.
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            async with asyncio.timeout(self._timeout):
                seconds = await asyncio.shield(asking)
        # Each client library has exceptions of its own. Not even a bug in one of them may stop
        # logins.
        except Exception as error:
            self._fail(error)
            raise CounterUnavailable from error
        finally:
            asking.cancel()
        if was_down:  # a count that was asked before the outage says nothing about its end
            self._recover()
        return seconds

    def _half_open(self) -> None:
        now = self._clock()
        if now < self._retry_at:
            raise CounterUnavailable
        self._retry_at = now + COOLDOWN  # for all others while this one is trying

    async def _ask(self, rate: limits.RateLimitItem, *name: str) -> float | None:
        async with self._slots:
            if await self._windows.hit(rate, *name):
                return None
            stats = await self._windows.get_window_stats(rate, *name)
        return max(0.0, stats.reset_time - time.time())

    def _fail(self, error: Exception) -> None:
        self._retry_at = self._clock() + COOLDOWN
        if not self._down:
            self._down = True
            self._events.record("rate_limits_local", kind=type(error).__name__)

    def _recover(self) -> None:
        self._down = False
        self._events.record("rate_limits_shared")
