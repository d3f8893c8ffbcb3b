"""Metrics in Prometheus' exposition, on a port of their own, counted from what is logged.

Logging and counting see the same closed events, so nothing can be a label that may not be logged,
and a metric never tells another story than the log.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from app.errors import StartupError

Record: TypeAlias = Callable[..., None]
"""Records one event with labels from the log's closed set, as `logs.log` does."""


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
            "What happened to sessions; detail is the name of the ending or the kind of reuse",
            ["event", "detail"],
            registry=self.registry,
        )
        self._store = Counter(
            "ticketgate_store_events",
            "Commands that failed, detail says how, and writes that no replica confirmed in time",
            ["event", "detail"],
            registry=self.registry,
        )
        self._outages_of_shared_limits = Counter(
            "ticketgate_rate_limit_outages",
            "How often the counts of a fleet were out of reach, so that each process counted alone",
            registry=self.registry,
        )

    def counting(self, record: Record) -> Record:
        """The same recorder, with every event counted too."""

        def count_and_record(
            event: str, *, error: Exception | None = None, **fields: str | int
        ) -> None:
            self._count(event, fields)
            record(event, error=error, **fields)

        return count_and_record

    def _count(self, event: str, fields: dict[str, str | int]) -> None:
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
                self._outages_of_shared_limits.inc()
            case _ if "session_id" in fields:
                detail = fields.get("reason", fields.get("kind", ""))
                self._sessions.labels(event, detail).inc()

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[None]:
        """Serve these metrics while the context is open; refuses as the function `served` does."""
        with served(self.registry, host, port):
            yield


@contextmanager
def served(registry: CollectorRegistry, host: str, port: int) -> Iterator[None]:
    """Serve the exposition at `/metrics` while the context is open.

    Raises:
        StartupError: the port cannot be listened on.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        message = f"METRICS_PORT: cannot listen on {host}:{port}: {error.strerror}"
        raise StartupError(message) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
