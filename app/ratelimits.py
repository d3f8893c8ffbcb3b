"""Rate limits in sliding windows, counted by name. Knows neither HTTP nor sessions.

With a shared store all instances count together. Without one, and while it is down or slow, each
process counts for itself. So a failure neither switches a limit off nor refuses every request.
"""

import asyncio
import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from app.errors import RateLimited
from app.events import Events
from app.sessions.ports import Count, RateLimit

TIMEOUT = 0.3
"""Seconds. A count that takes the shared store longer is made in this process instead."""
COOLDOWN = 5.0
"""Seconds for which the store is not asked after a failure. A slow one delays no other request."""
MAX_NAMES = 100_000
"""Names in one window: 12 MB. A limit has two windows."""
_MAX_CONCURRENT = 8
"""Further counts in the shared store wait, within their time-out."""
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_PSEUDONYM_BYTES = 16
_AFTER = 0.001
"""Seconds. The next request is possible only after the computed instant, and that was rounded."""


class MemoryCounter:
    """A sliding window counter: about `amount` requests of one name in any `seconds`.

    It keeps the counts of the current window and of the previous one, which count in proportion to
    how much of that window lies within the last `seconds`. When more names come than fit, the
    current window ends early: old counts then weigh less than they should, but memory stays
    bounded. A client with that many addresses would not be stopped by a limit per address anyway.
    """

    def __init__(self, amount: int, seconds: int, clock: Callable[[], float]) -> None:
        self.amount = amount
        self.seconds = seconds
        self._clock = clock
        self._started_at = clock()
        self._current: dict[int, int] = {}
        self._previous: dict[int, int] = {}

    def count(self, name: int) -> float | None:
        """Count one and return None, or return the seconds until one more is possible."""
        self._turn_windows()
        weight = 1 - (self._clock() - self._started_at) / self.seconds
        previous, current = self._previous.get(name, 0), self._current.get(name, 0)
        room = self.amount - current
        if previous * weight < room:
            if len(self._current) >= MAX_NAMES and name not in self._current:
                self._start_window(self._clock())
            self._current[name] = current + 1
            return None
        # Either the previous count fades until it fits beside the current one; or the current one
        # alone is at the limit, and its window must become the previous one first.
        return (weight - room / previous if room else weight) * self.seconds

    def _turn_windows(self) -> None:
        passed = (self._clock() - self._started_at) // self.seconds
        if passed >= 1:
            self._start_window(self._started_at + passed * self.seconds)
        if passed > 1:
            self._previous = {}

    def _start_window(self, at: float) -> None:
        self._previous, self._current = self._current, {}
        self._started_at = at


async def unlimited(_name: str) -> None:
    """A limit that is switched off."""


class CounterUnavailable(Exception):
    """The shared store was not asked, or has not replied in time."""


@dataclass(slots=True)
class RateLimiter:
    """Makes limits that count in the shared store, if there is one.

    `secret` returns the key under which names are hashed, so that a dump of the store reveals no
    address. When the key changes, counting starts anew. `clock` returns monotonic seconds. The
    start and the end of a failure of the store are one event each.
    """

    shared: Count | None
    secret: Callable[[], bytes]
    events: Events
    clock: Callable[[], float]
    timeout: float = TIMEOUT
    _slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_MAX_CONCURRENT), init=False
    )
    _down: bool = field(default=False, init=False)
    _retry_at: float = field(default=0.0, init=False)

    def limit(self, kind: str, rate: str | None, *, times: int = 1) -> RateLimit:
        """A limit of its own: so many `times` the rate, like `30/minute`; None for no limit."""
        if rate is None:
            return unlimited
        number, unit = rate.split("/")
        local = MemoryCounter(times * int(number), _SECONDS[unit], self.clock)
        return partial(self._limit, kind, local)

    async def _limit(self, kind: str, local: MemoryCounter, name: str) -> None:
        try:
            seconds = await self._count_together(kind, local, name)
        except CounterUnavailable:  # recorded as an event already
            seconds = local.count(hash(name))  # short, and no readable name
        if seconds is not None:
            raise RateLimited(retry_after=math.ceil(seconds + _AFTER))

    async def _count_together(self, kind: str, local: MemoryCounter, name: str) -> float | None:
        was_down, now = self._down, self.clock()
        if self.shared is None or (was_down and now < self._retry_at):
            raise CounterUnavailable
        self._retry_at = now + COOLDOWN  # for all others while this one is trying
        digest = hmac.digest(self.secret(), f"{kind} {name}".encode(), "sha256")
        pseudonym = f"{kind}:{digest[:_PSEUDONYM_BYTES].hex()}"
        try:
            async with asyncio.timeout(self.timeout), self._slots:
                wait = await self.shared(pseudonym, local.amount, local.seconds)
        # Not even a bug in the client library may stop logins.
        except Exception as error:
            self._retry_at = self.clock() + COOLDOWN
            if not self._down:
                self._down = True
                self.events.record("rate_limits_local", kind=type(error).__name__)
            raise CounterUnavailable from error
        if was_down:  # a count that was asked before the outage says nothing about its end
            self._down = False
            self.events.record("rate_limits_shared")
        return wait
