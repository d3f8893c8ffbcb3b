"""Rate limits in sliding windows, counted by name. Knows neither HTTP nor sessions.

With a shared store all instances count together. Without one, and while it is down or slow, each
process counts for itself. So a failure neither switches a limit off nor refuses every request.
"""

import hmac
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import limits
from limits.aio.storage import Storage

from app.errors import RateLimited
from app.events import Events
from app.ratelimits.shared import CounterUnavailable, SharedCounter
from app.sessions.ports import RateLimit

TIMEOUT = 0.3
"""Seconds. A count that takes the shared store longer is made in this process instead."""
MAX_NAMES = 100_000
"""Names in one window: 12 MB. A limit has two windows."""
_PSEUDONYM_BYTES = 16
_AFTER = 0.001
"""Seconds. The next request is possible only after the computed instant, and that was rounded."""


class MemoryCounter:
    """A sliding window counter: about `amount` requests of one name in any `seconds`.

    It keeps the counts of the current window and of the previous one, which count in proportion to
    how much of that window lies within the last `seconds`. When more names come than fit, the
    current window ends early: old counts then weigh less than they should, but memory stays
    bounded. A client with that many addresses would not be stopped by a limit per address anyway.

    The memory storage of the `limits` library is not used: it has no bound, and scans all its keys
    on every hit (8 ms with 50,000 keys).
    """

    def __init__(self, amount: int, seconds: int, clock: Callable[[], float]) -> None:
        self._amount = amount
        self._seconds = seconds
        self._clock = clock
        self._started_at = clock()
        self._current: dict[int, int] = {}
        self._previous: dict[int, int] = {}

    def count(self, name: int) -> float | None:
        """Count one and return None, or return the seconds until one more is possible."""
        self._turn_windows()
        weight = 1 - (self._clock() - self._started_at) / self._seconds
        previous, current = self._previous.get(name, 0), self._current.get(name, 0)
        room = self._amount - current
        if previous * weight < room:
            self._add(name, current + 1)
            return None
        # Either the previous count fades until it fits beside the current one; or the current one
        # alone is at the limit, and its window must become the previous one first.
        return (weight - room / previous if room else weight) * self._seconds

    def _add(self, name: int, count: int) -> None:
        if len(self._current) >= MAX_NAMES and name not in self._current:
            self._start_window(self._clock())
        self._current[name] = count

    def _turn_windows(self) -> None:
        passed = (self._clock() - self._started_at) // self._seconds
        if passed >= 1:
            self._start_window(self._started_at + passed * self._seconds)
        if passed > 1:
            self._previous = {}

    def _start_window(self, at: float) -> None:
        self._previous, self._current = self._current, {}
        self._started_at = at


async def unlimited(_name: str) -> None:
    """A limit that is switched off."""


class RateLimiter:
    """Makes limits that count in the shared store, if there is one.

    `secret` returns the key under which names are hashed, so that a dump of the store reveals no
    address. When the key changes, counting starts anew. `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        shared: Storage | None,
        *,
        secret: Callable[[], bytes],
        events: Events,
        clock: Callable[[], float],
        timeout: float = TIMEOUT,
    ) -> None:
        self._shared = None if shared is None else SharedCounter(shared, events, clock, timeout)
        self._secret = secret
        self._clock = clock

    def limit(self, kind: str, rate: str | None, *, times: int = 1) -> RateLimit:
        """A limit with a counter of its own; `rate` is like `30/minute`, or None for no limit.

        `times` multiplies the number of the rate.
        """
        if rate is None:
            return unlimited
        item = limits.parse(rate)
        item.amount *= times
        local = MemoryCounter(item.amount, item.get_expiry(), self._clock)
        return partial(self._limit, kind, item, local)

    async def _limit(
        self, kind: str, rate: limits.RateLimitItem, local: MemoryCounter, name: str
    ) -> None:
        seconds = await self._count(kind, rate, local, name)
        if seconds is not None:
            raise RateLimited(retry_after=math.ceil(seconds + _AFTER))

    async def _count(
        self, kind: str, rate: limits.RateLimitItem, local: MemoryCounter, name: str
    ) -> float | None:
        if self._shared is not None:
            digest = hmac.digest(self._secret(), f"{kind} {name}".encode(), "sha256")
            with suppress(CounterUnavailable):  # recorded as an event already
                return await self._shared.count(rate, kind, digest[:_PSEUDONYM_BYTES].hex())
        return local.count(hash(name))  # short, and no readable name
