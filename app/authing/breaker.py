"""A breaker before Authing: while it is in trouble, a login is refused in no time, all but a probe.

Knows the port on its two sides and which errors mean trouble; nothing of the wire, and nothing of
how many logins there are.
"""

import math
import time
from collections.abc import Callable

from app.errors import (
    AuthingBadAnswer,
    AuthingOverloaded,
    AuthingTimeout,
    AuthingUnavailable,
    TicketgateError,
)
from app.sessions.models import Identity
from app.sessions.ports import IdentityProvider

FAILURE_THRESHOLD = 20
"""So many failures in a row open the breaker."""
PROBE_INTERVAL = 5.0
"""While it is open, one login in so many seconds is let through to see whether Authing is back."""


class Breaker:
    """An identity provider that is left alone while it fails. For one event loop.

    A failure is an exchange that says that Authing is in trouble: unavailable, too late, or an
    answer that makes no sense. Whatever else Authing says, a refusal of the ticket or of us
    included, shows that it is there, and closes the breaker. `monotonic` is in seconds.
    """

    def __init__(
        self, inner: IdentityProvider, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._inner = inner
        self._monotonic = monotonic
        self._failures = 0
        self._next_probe_at = 0.0

    async def exchange(self, ticket: str) -> Identity:
        """See IdentityProvider.

        Raises:
            AuthingUnavailable: also when the breaker is open: Authing was not asked.
        """
        self._admit()
        try:
            identity = await self._inner.exchange(ticket)
        except (AuthingUnavailable, AuthingTimeout, AuthingBadAnswer):
            self._count_failure()
            raise
        except AuthingOverloaded:
            raise  # Authing was not asked, so nothing is known
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
        # Counted from its start, and whatever becomes of it: a probe that hangs until its deadline
        # must not delay the next one, and one that is given up must not be waited for.
        self._next_probe_at = now + PROBE_INTERVAL

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures == FAILURE_THRESHOLD:
            self._next_probe_at = self._monotonic() + PROBE_INTERVAL
