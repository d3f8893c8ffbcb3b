"""How often an address may log in and a session be refreshed, in sliding windows.

With a shared store a fleet counts together. While that store is down or slow, and where there is
none, each process counts for itself: a limit is never off because something broke, and never
closes the door to everybody. It knows neither HTTP nor sessions; it counts names.
"""

import hmac
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import limits
from limits.aio.storage import Storage

from app.errors import RateLimited
from app.ratelimits.memory import LocalCounts
from app.ratelimits.shared import CountsUnavailable, Record, SharedCounts

DEADLINE_SECONDS = 0.3
_PSEUDONYM_BYTES = 16
_A_MOMENT = 0.001
"""One more is possible only *after* the instant that was computed, and that was rounded."""

Limit: TypeAlias = Callable[[str], Coroutine[Any, Any, None]]
"""Counts one request of this name; raises RateLimited when there were too many."""


async def unlimited(_name: str) -> None:
    """Let everything pass: a limit that is switched off."""


class RateLimiter:
    """Makes limits that count in the shared store, if there is one.

    `secret` gives the key under which names are hashed, now: a dump of the store tells no address
    even to who tries all four billion of them. When it changes, counting begins anew. `clock`
    tells seconds and never goes back. What takes the shared store longer than `deadline` seconds
    is counted here.
    """

    def __init__(
        self,
        shared: Storage | None,
        *,
        secret: Callable[[], bytes],
        record: Record,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        self._shared = None if shared is None else SharedCounts(shared, record, clock, deadline)
        self._secret = secret
        self._clock = clock

    def limit(self, kind: str, rate: str | None) -> Limit:
        """A limit with counts of its own; `rate` is like `30/minute`, or None for no limit."""
        if rate is None:
            return unlimited
        item = limits.parse(rate)
        local = LocalCounts(item.amount, item.get_expiry(), self._clock)
        return _Limit(kind, item, local, self._shared, self._secret)


@dataclass(frozen=True, slots=True)
class _Limit:
    kind: str
    rate: limits.RateLimitItem
    local: LocalCounts
    shared: SharedCounts | None
    secret: Callable[[], bytes] = field(repr=False)

    async def __call__(self, name: str) -> None:
        seconds = await self._count(self._pseudonym(name))
        if seconds is not None:
            raise RateLimited(retry_after=math.ceil(seconds + _A_MOMENT))

    async def _count(self, pseudonym: bytes) -> float | None:
        if self.shared is not None:
            try:
                return await self.shared.count(self.rate, self.kind, pseudonym.hex())
            except CountsUnavailable:
                pass  # it has said so in the log
        return self.local.count(pseudonym)

    def _pseudonym(self, name: str) -> bytes:
        message = f"{self.kind} {name}".encode()
        return hmac.digest(self.secret(), message, "sha256")[:_PSEUDONYM_BYTES]
