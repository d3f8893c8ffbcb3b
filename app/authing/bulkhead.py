"""A bulkhead before Authing: however slow it is, only so many logins are kept waiting by it.

Knows the port on its two sides and nothing of what an exchange is. Logins beyond the bulkhead's
places stand in line, but only in a line that moves: a crowd is served, a standstill is not.
"""

import asyncio
from collections.abc import Awaitable, Callable

from app.authing.client_errors import within
from app.errors import AuthingOverloaded
from app.sessions.models import Identity
from app.sessions.ports import IdentityProvider

MAX_CONCURRENT = 64
"""So many exchanges may be under way at once; fewer than the wire has connections."""
_LOOKS = 8
_LOOK_SECONDS = 0.01


class Bulkhead:
    """An identity provider with a limited number of exchanges at once. For one event loop.

    `deadline`, in seconds, is for standing in line and the exchange together. When no place has
    become free for 80 ms, the line is sent away, and whoever comes next is refused at once, until
    a place becomes free again.
    """

    def __init__(
        self,
        inner: IdentityProvider,
        *,
        deadline: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inner = inner
        self._deadline = deadline
        self._sleep = sleep
        self._places = asyncio.Semaphore(MAX_CONCURRENT)
        self._line: set[asyncio.Timeout] = set()
        self._leavers = 0
        self._stands_still = False
        self._watch: asyncio.Task[None] | None = None

    async def exchange(self, ticket: str) -> Identity:
        """See IdentityProvider.

        Raises:
            AuthingOverloaded: there is no place, and none in sight: Authing was not asked.
        """
        async with within(self._deadline):
            await self._enter()
            try:
                return await self._inner.exchange(ticket)
            finally:
                self._leave()

    async def _enter(self) -> None:
        if self._places.locked():
            await self._stand_in_line()
        else:
            await self._places.acquire()

    def _leave(self) -> None:
        self._places.release()
        self._leavers += 1
        self._stands_still = False

    async def _stand_in_line(self) -> None:
        if self._stands_still:
            raise AuthingOverloaded("bulkhead")
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_line())
        patience = asyncio.timeout(None)
        self._line.add(patience)
        try:
            async with patience:
                await self._places.acquire()
        except TimeoutError as error:
            raise AuthingOverloaded("bulkhead") from error
        finally:
            self._line.discard(patience)

    async def _watch_line(self) -> None:
        while self._line:
            leavers = self._leavers
            # In several looks: after a busy moment of ours the answers that have come in meanwhile
            # are read between two looks, and do not count as missing.
            for _ in range(_LOOKS):
                await self._sleep(_LOOK_SECONDS)
            if self._leavers == leavers:
                self._send_line_away()
        self._watch = None

    def _send_line_away(self) -> None:
        self._stands_still = True
        now = asyncio.get_running_loop().time()
        for patience in self._line:
            patience.reschedule(now)
        self._line.clear()
