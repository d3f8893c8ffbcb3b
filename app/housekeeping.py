"""What the service does in the background: it follows files and purges the store."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from app.errors import StoreUnavailable
from app.events import Events
from app.sessions.ports import Clock, Maintenance


class PurgeClock:
    """The time up to which the store is purged. It moves by at most a day an hour.

    The system's clock may be wrong, from the start or after a jump. One that is far ahead would
    delete every session in one round. So this clock begins at `start`, a time from the store, and
    then moves at most 24 times as fast as `timer` (monotonic seconds) until it agrees with `clock`.
    """

    def __init__(self, clock: Clock, timer: Callable[[], float], start: datetime) -> None:
        self._clock, self._timer = clock, timer
        self._last, self._read_at = start, timer()

    def __call__(self) -> datetime:
        """Return the time up to which a purge may delete now."""
        before, self._read_at = self._read_at, self._timer()
        furthest = self._last + 24 * timedelta(seconds=self._read_at - before)
        self._last = min(self._clock(), furthest)
        return self._last


@asynccontextmanager
async def housekeeping(
    follow: Sequence[Callable[[], None]],
    maintenance: Maintenance,
    clock: Clock,
    events: Events,
    *,
    timer: Callable[[], float] = time.monotonic,
    follow_seconds: float = 10,
    purge_seconds: float = 60,
) -> AsyncIterator[None]:
    """Take over what has changed in files, and purge the store, while the context is open."""
    purge_clock: PurgeClock | None = None

    async def follow_all() -> None:
        for take_over in follow:
            take_over()

    async def purge() -> None:
        nonlocal purge_clock
        with suppress(StoreUnavailable):  # /readyz reports the store, and the next round purges
            if purge_clock is None:
                start = await maintenance.newest_login() or clock()
                purge_clock = PurgeClock(clock, timer, start)
            if purged := await maintenance.purge(purge_clock()):
                events.record("purged", count=purged)

    tasks = [
        asyncio.create_task(_repeat(follow_seconds, follow_all, events)),
        asyncio.create_task(_repeat(purge_seconds, purge, events)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(seconds: float, action: Callable[[], Awaitable[None]], events: Events) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await action()
        except Exception as error:  # noqa: BLE001  # a bug in one round must not end the rounds
            events.record("housekeeping_failed", error=error)
