"""Protection from a slow or failing Authing, and the record of its exchanges.

Each class wraps an IdentityProvider, for one event loop. They know which errors mean that Authing
is in trouble, and nothing about HTTP. Decision 0009 gives the reasons for the numbers.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain

from typing_extensions import override

from app import errors
from app.authing.response import deadline
from app.events import Events
from app.sessions.models import Identity
from app.sessions.ports import IdentityProvider

FAILURE_THRESHOLD = 20  # failures in a row that open the breaker
MAX_FAILURES_PER_NETWORK = 5  # so that one client cannot open the breaker
PROBE_INTERVAL = 5.0  # seconds between two probes while the breaker is open
PROBE_HEAD_START = 1.0  # seconds by which a network without failures may probe before the others
_MAX_FAILED_TICKETS = 1000
# Outcomes before the ticket was sent, or of other URLs: no ticket can cause them.
_INDEPENDENT_OF_TICKETS = frozenset(
    {"dns", "connect_refused", "connect_timeout", "jwks_unavailable"}
)
MAX_CONCURRENT = 128  # exchanges, 64 of one network; the transport has more connections
_STALL_CHECK_SECONDS = 0.01
_MIN_STALL_CHECKS = 8
_MAX_STALL_CHECKS = 100


@dataclass(slots=True)
class InstrumentedIdentityProvider(IdentityProvider):
    """Records each exchange: outcome, Authing's business code, duration in milliseconds.

    `state` is the outcome of the last exchange; `unknown` before the first.
    """

    inner: IdentityProvider
    events: Events
    state: str = field(default="unknown", init=False)

    @override
    async def exchange(self, ticket: str, network: str) -> Identity:
        started = time.monotonic()
        fields: dict[str, str | int] = {"outcome": "cancelled"}
        try:
            identity = await self.inner.exchange(ticket, network)
            fields = {"outcome": "ok"}
        except Exception as error:
            outcome = errors.InternalError.code
            if isinstance(error, errors.TicketgateError):
                outcome = error.outcome if isinstance(error, errors.AuthingError) else error.code
            fields = {"outcome": outcome}
            number = getattr(error, "authing_code", None)
            if number is not None:
                fields["authing_code"] = number
            raise
        else:
            return identity
        finally:
            self.state = str(fields["outcome"])
            duration = round((time.monotonic() - started) * 1000)
            self.events.record("exchange", error=None, duration_ms=duration, **fields)


@dataclass(slots=True)
class Breaker(IdentityProvider):
    """Stops asking Authing while it fails, except for one probe in PROBE_INTERVAL seconds.

    A failure is an exchange without a verdict: Authing is unavailable, too slow, or its response
    makes no sense. A ticket may cause that, so each ticket counts once, and each network at most
    MAX_FAILURES_PER_NETWORK times; a failure to connect always counts. Any verdict, also a refusal
    of the ticket or of our secret, closes the breaker.
    """

    inner: IdentityProvider
    _: KW_ONLY
    monotonic: Callable[[], float] = time.monotonic
    _failures: int = field(default=0, init=False)
    _failed_tickets: dict[int, str] = field(default_factory=dict, init=False)
    """The network of each ticket whose failure counts, by the hash of the ticket."""
    _next_probe_at: float = field(default=0.0, init=False)

    @property
    def is_open(self) -> bool:
        """Whether Authing is asked only by probes."""
        return self._failures >= FAILURE_THRESHOLD

    @override
    async def exchange(self, ticket: str, network: str) -> Identity:
        self._admit(network)
        try:
            identity = await self.inner.exchange(ticket, network)
        except (errors.AuthingUnavailable, errors.AuthingTimeout, errors.AuthingBadAnswer) as error:
            if error.outcome in _INDEPENDENT_OF_TICKETS or self._is_new(hash(ticket), network):
                self._failures += 1
                if self._failures == FAILURE_THRESHOLD:
                    self._next_probe_at = self.monotonic() + PROBE_INTERVAL
            raise
        except errors.AuthingOverloaded:
            raise  # Authing was not asked, so this tells nothing about it.
        except errors.TicketgateError:
            self._close()
            raise
        self._close()
        return identity

    def _admit(self, network: str) -> None:
        if not self.is_open:
            return
        now = self.monotonic()
        # A client whose tickets fail must not take every probe.
        has_failed = network in self._failed_tickets.values()
        probe_at = self._next_probe_at + PROBE_HEAD_START * has_failed
        if now < probe_at:
            raise errors.AuthingUnavailable("breaker_open", retry_after=math.ceil(probe_at - now))
        # The interval counts from the start of a probe, so a probe that hangs or is cancelled does
        # not delay the next one.
        self._next_probe_at = now + PROBE_INTERVAL

    def _is_new(self, ticket_hash: int, network: str) -> bool:
        """Remember the ticket; return whether its failure counts."""
        networks = list(self._failed_tickets.values())
        is_new = (
            ticket_hash not in self._failed_tickets
            and networks.count(network) < MAX_FAILURES_PER_NETWORK
            and len(networks) < _MAX_FAILED_TICKETS
        )
        if is_new:
            self._failed_tickets[ticket_hash] = network
        return is_new

    def _close(self) -> None:
        self._failures = 0
        self._failed_tickets.clear()


@dataclass(slots=True)
class Bulkhead(IdentityProvider):
    """Limits concurrent exchanges; further logins queue while exchanges keep ending.

    A network may hold as many slots as are free: at most 64 of 128 alone. So one client whose
    exchanges hang leaves slots for the others. `timeout` in seconds covers the queue, the request
    and the verification. If no exchange ends for 80 ms, or for twice the time of the last good one
    (at most 1 s), all queued logins are refused with AuthingOverloaded. Logins without a slot are
    then refused at once, until an exchange ends.
    """

    inner: IdentityProvider
    _: KW_ONLY
    timeout: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    _stall_checks: int = field(default=_MIN_STALL_CHECKS, init=False)
    _running: list[str] = field(default_factory=list, init=False)
    _queues: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict, init=False)
    _ended: int = field(default=0, init=False)
    _stalled: bool = field(default=False, init=False)
    _stall_watch: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def in_flight(self) -> int:
        """How many exchanges run now."""
        return len(self._running)

    @override
    async def exchange(self, ticket: str, network: str) -> Identity:
        async with deadline(self.timeout):
            await self._acquire(network)
            started = self.monotonic()
            try:
                identity = await self.inner.exchange(ticket, network)
            finally:
                self._release(network)
        checks = 2 * round((self.monotonic() - started) / _STALL_CHECK_SECONDS)
        self._stall_checks = min(max(checks, _MIN_STALL_CHECKS), _MAX_STALL_CHECKS)
        return identity

    def _has_slot(self, network: str) -> bool:
        return self._running.count(network) < MAX_CONCURRENT - len(self._running)

    def _release(self, network: str) -> None:
        self._running.remove(network)
        self._ended += 1
        self._stalled = False
        while (waiting := next(filter(self._has_slot, self._queues), None)) is not None:
            queue = self._queues.pop(waiting)
            slot = queue.popleft()
            if queue:
                self._queues[waiting] = queue  # behind the others, so that networks take turns
            if not slot.done():
                self._running.append(waiting)
                slot.set_result(None)

    async def _acquire(self, network: str) -> None:
        if self._has_slot(network):  # then none of this network waits
            self._running.append(network)
            return
        if self._stalled:
            raise errors.AuthingOverloaded("bulkhead")
        if self._stall_watch is None:
            self._stall_watch = asyncio.create_task(self._watch_for_stall())
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(network, deque()).append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if not slot.cancelled() and slot.exception() is None:
                self._release(network)  # it got the slot at the moment it was cancelled
            raise

    async def _watch_for_stall(self) -> None:
        while self._queues:
            ended = self._ended
            # Several short sleeps: after our process was busy, the event loop reads the responses
            # that arrived meanwhile between two of them, so they count.
            for _ in range(self._stall_checks):
                await self.sleep(_STALL_CHECK_SECONDS)
            if self._ended == ended:
                self._stalled = True
                for slot in chain.from_iterable(self._queues.values()):
                    if not slot.done():
                        slot.set_exception(errors.AuthingOverloaded("bulkhead"))
                self._queues.clear()
        self._stall_watch = None
