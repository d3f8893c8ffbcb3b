"""Counts that a fleet shares, as long as the store that keeps them answers at once.

A count is never worth waiting for: what takes longer than a moment is given up, and the store is
then left alone for a while, so that not every request waits in vain.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeAlias

import limits
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

REST_SECONDS = 5.0
_AT_ONCE = 8
"""So many connections; who comes on top waits, within the deadline."""

Record: TypeAlias = Callable[..., None]
"""Records one event."""


class CountsUnavailable(Exception):
    """The shared store was not asked, or has not answered in time."""


class SharedCounts:
    """Counts in a storage of the `limits` library.

    When the storage fails this is recorded once, as `rate_limits_local`; once it answers again, as
    `rate_limits_shared`. `deadline` in seconds.
    """

    def __init__(
        self, storage: Storage, record: Record, clock: Callable[[], float], deadline: float
    ) -> None:
        self._windows = SlidingWindowCounterRateLimiter(storage)
        self._record = record
        self._clock = clock
        self._deadline = deadline
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._down = False
        self._rests_until = clock()

    async def count(self, rate: limits.RateLimitItem, *name: str) -> float | None:
        """Count one and return None, or return the seconds until one more is possible.

        Raises:
            CountsUnavailable: it is not known to have been counted, by the deadline.
        """
        was_down = self._down
        if was_down:
            self._take_the_one_try()
        # A task of its own, because being told to stop is not stopping: on Python 3.11 the client
        # may miss a cancellation (`asyncio.wait_for` does), and goes on for as long as it likes.
        asking = asyncio.create_task(self._ask(rate, *name))
        try:
            async with asyncio.timeout(self._deadline):
                seconds = await asyncio.shield(asking)
        # Each client library, and each way to run the store, has exceptions of its own. Not even a
        # bug in one of them may keep people from logging in.
        except Exception as error:
            self._rest(error)
            raise CountsUnavailable from error
        finally:
            asking.cancel()
        if was_down:  # what was asked before the outage tells nothing of its end
            self._recover()
        return seconds

    def _take_the_one_try(self) -> None:
        now = self._clock()
        if now < self._rests_until:
            raise CountsUnavailable
        self._rests_until = now + REST_SECONDS  # for all who come while this one is trying

    async def _ask(self, rate: limits.RateLimitItem, *name: str) -> float | None:
        async with self._slots:
            if await self._windows.hit(rate, *name):
                return None
            stats = await self._windows.get_window_stats(rate, *name)
        return max(0.0, stats.reset_time - time.time())

    def _rest(self, error: Exception) -> None:
        self._rests_until = self._clock() + REST_SECONDS
        if not self._down:
            self._down = True
            self._record("rate_limits_local", error=error)

    def _recover(self) -> None:
        self._down = False
        self._record("rate_limits_shared")
