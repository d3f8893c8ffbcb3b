"""Rate limits in sliding windows, counted by name. Knows neither HTTP nor sessions.

With a shared store all instances count together. Without one, and while it is down or slow, each
process counts for itself. So a failure neither switches a limit off nor refuses every request.
"""

import hmac
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import limits
from limits.aio.storage import Storage

from app.errors import RateLimited
from app.events import Events
from app.ratelimits.memory import MemoryCounter
from app.ratelimits.shared import CounterUnavailable, SharedCounter
from app.sessions.ports import RateLimit

TIMEOUT = 0.3
"""Seconds. A count that takes the shared store longer is made in this process instead."""
_PSEUDONYM_BYTES = 16
_AFTER = 0.001
"""Seconds. The next request is possible only after the computed instant, and that was rounded."""


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
        clock: Callable[[], float] = time.monotonic,
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
        return _Limit(kind, item, local, self._shared, self._secret)


@dataclass(frozen=True, slots=True)
class _Limit:
    kind: str
    rate: limits.RateLimitItem
    local: MemoryCounter
    shared: SharedCounter | None
    secret: Callable[[], bytes] = field(repr=False)

    async def __call__(self, name: str) -> None:
        seconds = await self._count(self._pseudonym(name))
        if seconds is not None:
            raise RateLimited(retry_after=math.ceil(seconds + _AFTER))

    async def _count(self, pseudonym: bytes) -> float | None:
        if self.shared is not None:
            try:
                return await self.shared.count(self.rate, self.kind, pseudonym.hex())
            except CounterUnavailable:
                pass  # recorded as an event already
        return self.local.count(pseudonym)

    def _pseudonym(self, name: str) -> bytes:
        message = f"{self.kind} {name}".encode()
        return hmac.digest(self.secret(), message, "sha256")[:_PSEUDONYM_BYTES]
