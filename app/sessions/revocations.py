"""The feed of ended sessions, for services that verify access tokens offline.

Such a service knows only the JWKS, and accepts the access tokens of an ended session until they
expire. The feed names those sessions. The store writes each event in the same step as the end, so
none is missed, and a cursor is good on every instance.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from app.errors import RateLimited, StoreUnavailable
from app.sessions.models import Revocation, RevocationPage
from app.sessions.ports import Clock, SessionStore

POLL_AFTER = 2
"""Seconds between two requests of a client that polls."""
MAX_FOLLOWERS = 64
"""Streams that one process keeps open."""
_MOST_REVOCATIONS = 10_000
"""About as many as one response has: 2 MB of JSON."""
_LOOK_EVERY = 0.03
_AFTER_A_FAILURE = 1.0
"""Seconds between two looks at the store, while there are streams."""


@dataclass(slots=True)
class RevocationFeed:
    """Reads and follows the feed. `stopping`: whether the process is about to stop.

    A follower gets something every `heartbeat` seconds, so that a dead connection is noticed.
    """

    store: SessionStore
    clock: Clock
    access_ttl: timedelta
    stopping: Callable[[], bool]
    heartbeat: float = 5.0
    _followers: int = field(default=0, init=False)
    _looking: asyncio.Task[None] | None = field(default=None, init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def read_page(self, after: str) -> RevocationPage:
        """Return sessions that ended after this cursor and whose access tokens may be valid.

        After a cursor that the store does not know, the page begins with the oldest.
        """
        await asyncio.sleep(0)  # between two pages, other requests have their turn
        return await self.store.revocations(after, self.clock(), self.access_ttl)

    async def read(self, after: str) -> RevocationPage:
        """Return the same as one page, however many they are: about 10,000 at most."""
        found: list[tuple[str, Revocation]] = []
        page = RevocationPage(found, after, more=True)
        while page.more and len(found) < _MOST_REVOCATIONS:
            page = await self.read_page(page.cursor)
            found += page.revocations
        return replace(page, revocations=found)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Count one follower while the context is open, or raise RateLimited if there are too many.

        One task looks at the store for all.
        """
        if self._followers >= MAX_FOLLOWERS:
            raise RateLimited(POLL_AFTER)
        self._followers += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._looking.cancel()
                self._looking = None

    async def follow(self, page: RevocationPage) -> AsyncIterator[Sequence[tuple[str, Revocation]]]:
        """Yield this page and then what is new, inside `following`; empty when nothing is.

        It ends when the process is about to stop, or when the store cannot be asked: a follower
        that hears nothing must not believe that nothing has ended.
        """
        yield page.revocations
        while not self.stopping():
            news = self._news
            try:
                page = await self.read_page(page.cursor)
            except StoreUnavailable:
                return
            if not page.revocations and not page.more:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), self.heartbeat)
            yield page.revocations

    async def _look(self) -> None:
        """Wake the followers at each change of the cursor, and when they should end."""
        cursor = ""
        while True:
            pause = _LOOK_EVERY
            try:
                newest = (await self.read_page(cursor)).cursor
            except StoreUnavailable:
                newest, pause = "", _AFTER_A_FAILURE
            if newest != cursor or self.stopping():
                self._news.set()
                self._news = asyncio.Event()
            cursor = newest
            await asyncio.sleep(pause)
