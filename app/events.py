"""The closed set of events for operators; docs/logs.md says what each one means.

An event is a name with ids, closed words and numbers, never a text made from data. The same events
are logged (`app.telemetry.logs`) and counted (`app.telemetry.metrics`), so logs and metrics agree.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal, Protocol, TypeAlias, get_args

_Debug: TypeAlias = Literal[  # the line of the request tells them already
    "exchange", "session_opened", "session_rotated", "user_looked_at"
]
_Info: TypeAlias = Literal[
    "request",
    "login_replayed",
    "refresh_replayed",
    "session_bound",
    "session_ended",
    "store_created",
    "purged",
    "rate_limits_shared",
    "serving",
    "stopped",
    "keys_reloaded",
    "secret_reloaded",
]
_Warning: TypeAlias = Literal[  # trouble
    "jwk_ignored",
    "jwks_fetch_failed",
    "session_rolled_forward",
    "refresh_replayed_repeatedly",
    "refresh_reused",
    "proof_refused",
    "store_failed",
    "store_not_durable",
    "store_not_checked",
    "write_unconfirmed",
    "rate_limits_local",
    "forwarded_for_ignored",
    "setting_unknown",
    "setting_unsafe",
    "tracing_unavailable",
    "keys_reload_failed",
    "secret_reload_failed",
]
_Error: TypeAlias = Literal["housekeeping_failed"]  # a bug
EventName: TypeAlias = Literal[_Debug, _Info, _Warning, _Error]

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
LEVELS: Mapping[EventName, Level] = {
    **dict.fromkeys(get_args(_Debug), "debug"),
    **dict.fromkeys(get_args(_Info), "info"),
    **dict.fromkeys(get_args(_Warning), "warning"),
    **dict.fromkeys(get_args(_Error), "error"),
}


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
