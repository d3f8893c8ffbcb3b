"""Prometheus metrics, counted from the same events as the log."""

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from typing_extensions import override

from app.events import EventName, Events


class CountedEvents(Events):
    """Counts each event of this process and passes it on."""

    def __init__(self, inner: Events) -> None:
        self._inner = inner
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._requests = histogram(
            "ticketgate_request_seconds",
            "Requests by method, route template and status",
            ["method", "route", "status"],
        )
        self._exchanges = histogram(
            "ticketgate_upstream_exchange_seconds",
            "Exchanges of tickets at Authing by outcome",
            ["outcome"],
        )
        self._looks = counter(
            "ticketgate_user_looks", "Questions about users to Authing by outcome", ["outcome"]
        )
        self._sessions = counter(
            "ticketgate_session_events",
            "Events of sessions; detail is the reason of an end, or the kind of a reuse or replay",
            ["event", "detail"],
        )
        self._store = counter(
            "ticketgate_store_events",
            "Failed commands, by kind in detail, and writes that no replica confirmed in time",
            ["event", "detail"],
        )
        self._reloads = counter(
            "ticketgate_reloads", "Changed files that were taken over, or could not be", ["event"]
        )
        self._rate_limit_outages = counter(
            "ticketgate_rate_limit_outages",
            "How often the shared counts were out of reach, so that each process counted alone",
        )

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        self._count(event, fields)
        self._inner.record(event, error=error, **fields)

    def _count(self, event: EventName, fields: Mapping[str, str | int]) -> None:
        seconds = int(fields.get("duration_ms", 0)) / 1000
        match event:
            case "request":
                labels = (fields[name] for name in ("method", "route", "status"))
                self._requests.labels(*labels).observe(seconds)
            case "exchange":
                self._exchanges.labels(fields["outcome"]).observe(seconds)
            case "user_looked_at":
                self._looks.labels(fields["outcome"]).inc()
            case "store_failed" | "write_unconfirmed":
                self._store.labels(event, fields.get("kind", "")).inc()
            case (
                "keys_reloaded" | "keys_reload_failed" | "secret_reloaded" | "secret_reload_failed"
            ):
                self._reloads.labels(event).inc()
            case "rate_limits_local":
                self._rate_limit_outages.inc()
            case _ if "session_id" in fields:
                detail = fields.get("reason", fields.get("kind", ""))
                self._sessions.labels(event, detail).inc()

    async def render(self) -> bytes:
        """Return the exposition in Prometheus' text format."""
        return generate_latest(self.registry)
