"""Protection from a slow or failing Authing, and the record of its exchanges.

Each class wraps an IdentityProvider, for one event loop. They know which errors mean that Authing
is in trouble, and nothing about HTTP. Decision 0009 gives the reasons for the numbers.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from typing_extensions import override

from app.authing.transport import deadline
from app.errors import (
    AuthingBadAnswer,
    AuthingError,
    AuthingOverloaded,
    AuthingTimeout,
    AuthingUnavailable,
    InternalError,
    TicketgateError,
)
from app.events import Events
from app.sessions.models import Identity
from app.sessions.ports import IdentityProvider

FAILURE_THRESHOLD = 20
"""Failures in a row that open the breaker."""
PROBE_INTERVAL = 5.0
"""Seconds between two probes while the breaker is open."""
MAX_CONCURRENT = 64
"""Maximum concurrent exchanges; the transport has more connections."""
_STALL_CHECKS = 8
_STALL_CHECK_SECONDS = 0.01


class InstrumentedIdentityProvider(IdentityProvider):
    """Records each exchange: outcome, Authing's business code, duration in milliseconds.

    `state` is the outcome of the last exchange; `unknown` before the first.
    """

    def __init__(self, inner: IdentityProvider, events: Events) -> None:
        self._inner = inner
        self._events = events
        self.state = "unknown"

    @override
    async def exchange(self, ticket: str) -> Identity:
        started = time.monotonic()
        fields: dict[str, str | int] = {"outcome": "cancelled"}
        try:
            identity = await self._inner.exchange(ticket)
            fields = {"outcome": "ok"}
        except Exception as error:
            fields = _fields(error)
            raise
        else:
            return identity
        finally:
            self.state = str(fields["outcome"])
            duration = round((time.monotonic() - started) * 1000)
            self._events.record("exchange", error=None, duration_ms=duration, **fields)


def _fields(error: Exception) -> dict[str, str | int]:
    """Return the outcome, and Authing's business code if one decided."""
    code = error.code if isinstance(error, TicketgateError) else InternalError.code
    outcome = error.outcome if isinstance(error, AuthingError) else code
    number = getattr(error, "authing_code", None)
    return {"outcome": outcome} if number is None else {"outcome": outcome, "authing_code": number}


class Breaker(IdentityProvider):
    """Stops asking Authing while it fails, except for one probe in PROBE_INTERVAL seconds.

    A failure is an exchange without a verdict: Authing is unavailable, too slow, or its response
    makes no sense. Any verdict, also a refusal of the ticket or of our secret, closes the breaker.
    An open breaker raises AuthingUnavailable with the outcome `breaker_open`. `monotonic` returns
    seconds.
    """

    def __init__(
        self, inner: IdentityProvider, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._inner = inner
        self._monotonic = monotonic
        self._failures = 0
        self._next_probe_at = 0.0

    @override
    async def exchange(self, ticket: str) -> Identity:
        self._admit()
        try:
            identity = await self._inner.exchange(ticket)
        except (AuthingUnavailable, AuthingTimeout, AuthingBadAnswer):
            self._count_failure()
            raise
        except AuthingOverloaded:
            raise  # Authing was not asked, so this tells nothing about it.
        except TicketgateError:
            self._failures = 0
            raise
        self._failures = 0
        return identity

    def _admit(self) -> None:
        if self._failures < FAILURE_THRESHOLD:
            return
        now = self._monotonic()
        if now < self._next_probe_at:
            wait = math.ceil(self._next_probe_at - now)
            raise AuthingUnavailable("breaker_open", retry_after=wait)
        # The interval counts from the start of a probe, so a probe that hangs or is cancelled does
        # not delay the next one.
        self._next_probe_at = now + PROBE_INTERVAL

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures == FAILURE_THRESHOLD:
            self._next_probe_at = self._monotonic() + PROBE_INTERVAL


class Bulkhead(IdentityProvider):
    """Limits concurrent exchanges; further logins queue while exchanges keep ending.

    `timeout` in seconds covers the queue, the request and the verification. If no exchange ends for
    80 ms, all queued logins are refused with AuthingOverloaded. Further logins are then refused at
    once, until an exchange ends.
    """

    def __init__(
        self,
        inner: IdentityProvider,
        *,
        timeout: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inner = inner
        self._timeout = timeout
        self._sleep = sleep
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._waiters: set[asyncio.Timeout] = set()
        self._ended = 0
        self._stalled = False
        self._stall_watch: asyncio.Task[None] | None = None

    @override
    async def exchange(self, ticket: str) -> Identity:
        async with deadline(self._timeout):
            await self._acquire()
            try:
                return await self._inner.exchange(ticket)
            finally:
                self._release()

    def _release(self) -> None:
        self._slots.release()
        self._ended += 1
        self._stalled = False

    async def _acquire(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        if self._stalled:
            raise AuthingOverloaded("bulkhead")
        if self._stall_watch is None:
            self._stall_watch = asyncio.create_task(self._watch_for_stall())
        timeout = asyncio.timeout(None)
        self._waiters.add(timeout)
        try:
            async with timeout:
                await self._slots.acquire()
        except TimeoutError as error:
            raise AuthingOverloaded("bulkhead") from error
        finally:
            self._waiters.discard(timeout)

    async def _watch_for_stall(self) -> None:
        while self._waiters:
            ended = self._ended
            # Several short sleeps: after our process was busy, the event loop reads the responses
            # that arrived meanwhile between two of them, so they count.
            for _ in range(_STALL_CHECKS):
                await self._sleep(_STALL_CHECK_SECONDS)
            if self._ended == ended:
                self._refuse_waiters()
        self._stall_watch = None

    def _refuse_waiters(self) -> None:
        self._stalled = True
        now = asyncio.get_running_loop().time()
        for timeout in self._waiters:
            timeout.reschedule(now)
        self._waiters.clear()
