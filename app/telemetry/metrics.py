"""Prometheus metrics on a port of their own, counted from the same events as the log."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from typing_extensions import override

from app.errors import StartupError
from app.events import EventName, Events


class Metrics:
    """Counters and histograms of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "ticketgate_request_seconds",
            "Requests by method, route template and status",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._exchanges = Histogram(
            "ticketgate_upstream_exchange_seconds",
            "Exchanges of tickets at Authing by outcome",
            ["outcome"],
            registry=self.registry,
        )
        self._sessions = Counter(
            "ticketgate_session_events",
            "Events of sessions; detail is the reason of an end or the kind of a reuse",
            ["event", "detail"],
            registry=self.registry,
        )
        self._store = Counter(
            "ticketgate_store_events",
            "Failed commands, by kind in detail, and writes that no replica confirmed in time",
            ["event", "detail"],
            registry=self.registry,
        )
        self._rate_limit_outages = Counter(
            "ticketgate_rate_limit_outages",
            "How often the shared counts were out of reach, so that each process counted alone",
            registry=self.registry,
        )

    def count(self, event: EventName, fields: Mapping[str, str | int]) -> None:
        """Count one event."""
        seconds = int(fields.get("duration_ms", 0)) / 1000
        match event:
            case "request":
                labels = (fields[name] for name in ("method", "route", "status"))
                self._requests.labels(*labels).observe(seconds)
            case "exchange":
                self._exchanges.labels(fields["outcome"]).observe(seconds)
            case "store_failed" | "write_unconfirmed":
                self._store.labels(event, fields.get("kind", "")).inc()
            case "rate_limits_local":
                self._rate_limit_outages.inc()
            case _ if "session_id" in fields:
                detail = fields.get("reason", fields.get("kind", ""))
                self._sessions.labels(event, detail).inc()

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[None]:
        """Serve `/metrics` while the context is open; StartupError if the port is not free."""
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            message = f"METRICS_PORT: cannot listen on {host}:{port}: {error.strerror}"
            raise StartupError(message) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class CountedEvents(Events):
    """Counts each event and passes it on."""

    def __init__(self, metrics: Metrics, inner: Events) -> None:
        self._metrics = metrics
        self._inner = inner

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        self._metrics.count(event, fields)
        self._inner.record(event, error=error, **fields)
