"""What Authing did: one log line an exchange, and the last outcome for `/readyz`."""

import time

from app.errors import AuthingError, InternalError, TicketgateError
from app.events import Events
from app.sessions.models import Identity
from app.sessions.ports import IdentityProvider


class InstrumentedIdentityProvider:
    """An identity provider that is watched while it works."""

    def __init__(self, inner: IdentityProvider, events: Events) -> None:
        self._inner = inner
        self._events = events
        self.state = "unknown"
        """Outcome of the last exchange, in one word; `unknown` before the first."""

    async def exchange(self, ticket: str) -> Identity:
        """See IdentityProvider."""
        started = time.monotonic()
        outcome = "cancelled"
        try:
            identity = await self._inner.exchange(ticket)
            outcome = "ok"
        except Exception as error:
            outcome = _outcome(error)
            raise
        else:
            return identity
        finally:
            self.state = outcome
            duration = round((time.monotonic() - started) * 1000)
            self._events.record("exchange", outcome=outcome, duration_ms=duration)


def _outcome(error: Exception) -> str:
    if isinstance(error, AuthingError):
        return error.outcome
    return error.code if isinstance(error, TicketgateError) else InternalError.code
