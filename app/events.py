"""The closed set of events for operators; docs/logs.md says what each one means.

An event is a name with ids, closed words and numbers, never a text made from data. The same events
are logged (`app.telemetry.logs`) and counted (`app.telemetry.metrics`), so logs and metrics agree.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal, Protocol, TypeAlias

EventName: TypeAlias = Literal[
    # requests and exchanges
    "request",
    "exchange",
    "jwk_ignored",
    "jwks_fetch_failed",
    # sessions
    "session_opened",
    "login_replayed",
    "session_rotated",
    "session_rolled_forward",
    "refresh_replayed",
    "refresh_replayed_repeatedly",
    "refresh_reused",
    "session_bound",
    "proof_refused",
    "session_ended",
    "user_looked_at",
    # the store and the limits
    "store_created",
    "store_failed",
    "store_not_durable",
    "store_not_checked",
    "write_unconfirmed",
    "purged",
    "rate_limits_local",
    "rate_limits_shared",
    "forwarded_for_ignored",
    # the process
    "setting_unknown",
    "setting_unsafe",
    "tracing_unavailable",
    "serving",
    "stopped",
    "keys_reloaded",
    "keys_reload_failed",
    "secret_reloaded",
    "secret_reload_failed",
    "housekeeping_failed",
]

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
LEVELS: Mapping[EventName, Level] = {
    "exchange": "debug",
    "session_opened": "debug",
    "session_rotated": "debug",
    "user_looked_at": "debug",
    "jwk_ignored": "warning",
    "jwks_fetch_failed": "warning",
    "session_rolled_forward": "warning",
    "refresh_replayed_repeatedly": "warning",
    "refresh_reused": "warning",
    "proof_refused": "warning",
    "store_failed": "warning",
    "store_not_durable": "warning",
    "store_not_checked": "warning",
    "write_unconfirmed": "warning",
    "rate_limits_local": "warning",
    "forwarded_for_ignored": "warning",
    "setting_unknown": "warning",
    "setting_unsafe": "warning",
    "tracing_unavailable": "warning",
    "keys_reload_failed": "warning",
    "secret_reload_failed": "warning",
    "housekeeping_failed": "error",
}
"""Trouble is a warning, a bug is an error, and the line of the request tells a debug event already.

An event that is not listed is information.
"""


CONTEXT: ContextVar[dict[str, str]] = ContextVar("fields of the current request")
"""Fields that the log adds to every event of the current request, in all its tasks."""


def add_context(**fields: str) -> None:
    """Add fields to the further events of the current request; outside of one, do nothing."""
    CONTEXT.get({}).update(fields)


class Events(Protocol):
    """The one recorder of events."""

    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        """Record one event.

        `fields` are names and values of the log's closed set (docs/logs.md); any other name is a
        bug and raises ValueError. `error` is the bug that caused the event; only its type and its
        places in the code are logged.
        """
