"""Prometheus metrics, counted from the same events as the log; docs/metrics.md explains each.

No label value comes from a client or a person: each is of a closed set, or the template of a route,
or the id of a key. A closed set starts at 0, because `increase()` of Prometheus does not see the
first event of a series that begins at 1. Only the event loop counts, in plain dictionaries: the
library's own metrics take a lock and some microseconds for each event.
"""

from bisect import bisect_left
from collections import Counter as Totals
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import accumulate
from typing import Any, TypeAlias, get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from app import __version__, errors
from app.events import EventName, Events
from app.sessions.models import EndReason
from app.sessions.outcomes import ReuseKind

Labels: TypeAlias = tuple[str, ...]
"""The values of labels."""
_PREFIX = "ticketgate_"
_AUTHING = [error.code for error in errors.AuthingError.__subclasses__()]
_LOGINS = (
    *("opened", "replayed", "login_cancelled", "login_in_progress", "rate_limited"),
    *(error.code for error in errors.LoginRefused.__subclasses__()),
    *(*_AUTHING, "store_unavailable", "internal_error"),
)
_REFRESHES = (
    *("rotated", "rolled_forward", "replayed", "session_ended", "refresh_token_invalid"),
    *("proof_required", "proof_invalid", "rate_limited", "store_unavailable", "internal_error"),
)
_NOT_ASKED = ("bulkhead", "breaker_open")
_EXCHANGES = (
    *("ok", "ticket_rejected", "account_blocked", "cancelled", "internal_error", *_NOT_ASKED),
    *("dns", "connect_refused", "connect_timeout", "tls", "reset", "deadline", "http_5xx"),
    *("rate_limited", "auth_config", "redirect", "bad_status", "bad_framing", "bad_encoding"),
    *("bad_content_type", "too_large", "bad_json", "bad_shape", "bad_token", "jwks_unavailable"),
)
_MAX_REQUEST_SERIES = 110
_TIMED = ("/v1/", "/authz", "/oauth2/")
"""The routes of apps and gateways, which have durations of their own."""
_RESULTS: Mapping[Any, str] = {
    "ok": "ok",
    "ticket_rejected": "refused",
    "account_blocked": "refused",
}
_PROOF_FAULTS = ("required", "invalid", "other_key", "reused")
_RELOADS = ("keys_reloaded", "keys_reload_failed", "secret_reloaded", "secret_reload_failed")
_COUNTERS: Mapping[str, tuple[str, str, Iterable[str]]] = {
    "exchanges": ("Exchanges of tickets at Authing", "outcome", _EXCHANGES),
    "logins": ("Logins, by what became of them", "outcome", _LOGINS),
    "proofs_refused": ("Refreshes without a good proof", "kind", _PROOF_FAULTS),
    "rate_limit_outages": ("Times that the shared counts were out of reach", "", ()),
    "rate_limited": ("Requests over a rate limit", "limit", ("login", "refresh", "list")),
    "refresh_replays": ("Repeated refreshes", "kind", ("first", "again")),
    "refresh_reuses": ("Used refresh tokens that came back", "kind", get_args(ReuseKind)),
    "refreshes": ("Refreshes, by what became of them", "outcome", _REFRESHES),
    "reloads": ("Changed files that were read, or could not be", "event", _RELOADS),
    "sessions_bound": ("Sessions that a refresh bound to a device key", "", ()),
    "sessions_ended": ("Ends of sessions", "reason", EndReason),
    "store_failures": ("Store commands that failed", "", ()),
    "store_unconfirmed_writes": ("Writes that no replica confirmed in time", "", ()),
    "suspicious_replays": ("Sessions with three repeated refreshes in a row", "", ()),
    "user_looks": ("Questions to Authing about a user", "outcome", ("ok", "account_blocked")),
}
"""Each counter: its text, its label, and the closed set of its values. Any other is `other`."""
_COUNTED: Mapping[EventName, Sequence[tuple[str, str]]] = {
    "exchange": [("exchanges", "outcome")],
    "session_opened": [("logins", "=opened")],
    "login_replayed": [("logins", "=replayed")],
    "session_rotated": [("refreshes", "=rotated")],
    "session_rolled_forward": [("refreshes", "=rolled_forward")],
    "refresh_replayed": [("refreshes", "=replayed"), ("refresh_replays", "kind")],
    "refresh_replayed_repeatedly": [("suspicious_replays", "=")],
    "refresh_reused": [("refresh_reuses", "kind")],
    "session_bound": [("sessions_bound", "=")],
    "proof_refused": [("proofs_refused", "kind")],
    "session_ended": [("sessions_ended", "reason")],
    "user_looked_at": [("user_looks", "outcome")],
    "store_failed": [("store_failures", "=")],
    "write_unconfirmed": [("store_unconfirmed_writes", "=")],
    "rate_limits_local": [("rate_limit_outages", "=")],
    "keys_reloaded": [("reloads", "=keys_reloaded")],
    "keys_reload_failed": [("reloads", "=keys_reload_failed")],
    "secret_reloaded": [("reloads", "=secret_reloaded")],
    "secret_reload_failed": [("reloads", "=secret_reload_failed")],
}
"""The counters of an event, each with the field that is its label value, or `=` and that value."""
_REFUSED = {("POST", "/v1/sessions"): "logins", ("POST", "/v1/sessions/refresh"): "refreshes"}
_LIMITS = {
    ("POST", "/v1/sessions"): "login",
    ("POST", "/v1/sessions/refresh"): "refresh",
    ("GET", "/v1/sessions"): "list",
}
_GAUGES: Mapping[str, tuple[str, ...]] = {
    "authing_clock_skew_seconds": ("Authing's clock minus ours",),
    "breaker_open": ("Whether Authing is asked only by probes",),
    "build_info": ("The version", "version"),
    "draining": ("Whether the process stops",),
    "exchanges_in_flight": ("Exchanges that run now",),
    "key_created_timestamp_seconds": ("When a key was made", "kid", "use", "state"),
    "open_sessions": ("About how many sessions are open in the store",),
    "ready": ("Whether this instance takes traffic",),
    "reload_failing": ("Whether a broken file keeps the old values in force", "file"),
    "store_durable": ("Whether writes survive the end of the store",),
}
"""Each gauge: its text and its labels."""

_HISTOGRAMS: Mapping[str, tuple[str, str, tuple[float, ...], tuple[str, ...]]] = {
    "http_request": (
        "Requests",
        "route",
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0),
        (),
    ),
    "exchange": (
        "Exchanges, without those that the breaker or the bulkhead refused",
        "result",
        (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0),
        ("ok", "refused", "failed"),
    ),
    "store_command": (
        "Commands of the store",
        "command",
        (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
        ("acquire", "create_session", "rotate", "touch", "other"),
    ),
}
"""Each histogram of durations: its text, its label, its bounds in seconds, and the closed set."""


class CountedEvents(Events, Collector):
    """Counts each event of this process and passes it on."""

    def __init__(self, inner: Events) -> None:
        self._inner = inner
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(self)
        self.gauges: dict[str, Mapping[Labels, float]] = {
            "build_info": {(__version__,): 1},
            "store_durable": only(1),
        }
        """The values of each gauge, by label values."""
        self.before_scrape: Callable[[], Awaitable[None]] | None = None
        """Sets the other gauges."""
        self._requests: Totals[Labels] = Totals()
        self._labels: dict[tuple[str, str, int], Labels] = {}
        """Of each kind of request."""
        self._counts = {
            (name, value): 0
            for name, (_, label, values) in _COUNTERS.items()
            for value in ((*values, "other") if label else ("",))
        }
        self._durations = {
            (name, value): [0.0] * (len(bounds) + 2)
            for name, (_, _, bounds, values) in _HISTOGRAMS.items()
            for value in values
        }
        """The counts of the buckets, and the sum of the seconds."""

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        if event == "request":
            self._count_request(fields)
        elif event == "exchange" and fields["outcome"] not in _NOT_ASKED:
            result = _RESULTS.get(fields["outcome"], "failed")
            self._observe("exchange", result, int(fields["duration_ms"]) / 1000)
        elif event == "store_not_durable":
            self.gauges["store_durable"] = only(0)
        for counter, source in _COUNTED.get(event, ()):
            self._count(counter, source[1:] if source[0] == "=" else fields[source])
        self._inner.record(event, error=error, **fields)

    def count_command(self, name: str, seconds: float) -> None:
        """Count a command of the store, which is no event."""
        command = name if name in _HISTOGRAMS["store_command"][-1] else "other"
        self._observe("store_command", command, seconds)

    async def render(self) -> bytes:
        """Set the gauges, and return the exposition in Prometheus' text format."""
        if self.before_scrape is not None:
            await self.before_scrape()
        return generate_latest(self.registry)

    @override
    def collect(self) -> Iterator[Metric]:
        for name, (text, *labels) in _GAUGES.items():
            gauge = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
            for values, number in self.gauges.get(name, {}).items():
                gauge.add_metric(values, number)
            yield gauge
        for name, (text, label, _) in _COUNTERS.items():
            counter = CounterMetricFamily(_PREFIX + name, text, labels=[label] * bool(label))
            for (owner, value), count in self._counts.items():
                if owner == name:
                    counter.add_metric([value], count)
            yield counter
        labels = ["method", "route", "status"]
        requests = CounterMetricFamily(_PREFIX + "http_requests", "Requests", labels=labels)
        for values, count in self._requests.items():
            requests.add_metric(values, count)
        yield requests
        for name, (text, label, bounds, _) in _HISTOGRAMS.items():
            full_name = f"{_PREFIX}{name}_duration_seconds"
            histogram = HistogramMetricFamily(full_name, text, labels=[label])
            texts = [*map(str, bounds), "+Inf"]
            for (owner, value), (*buckets, total) in self._durations.items():
                if owner == name:
                    counts = zip(texts, accumulate(buckets), strict=True)
                    histogram.add_metric([value], list(counts), total)
            yield histogram

    def _count_request(self, fields: Mapping[str, Any]) -> None:
        method, route = fields["method"], fields["route"]
        request = method, route, fields["status"]
        if request not in self._labels:
            self._labels[request] = self._new_labels(*request)
        self._requests[self._labels[request]] += 1
        timed = route if route.startswith(_TIMED) else "other"
        self._observe("http_request", timed, fields["duration_ms"] / 1000)
        if (code := fields.get("code")) is not None:
            if (method, route) in _REFUSED:
                self._count(_REFUSED[method, route], code)
            if code == errors.RateLimited.code:
                self._count("rate_limited", _LIMITS.get((method, route)))

    def _new_labels(self, method: str, route: str, status: int) -> Labels:
        """The labels of such requests. What only a client's choice would tell apart is merged."""
        if route == "none" or status == HTTPStatus.METHOD_NOT_ALLOWED:
            method = "other"
        elif route.startswith("/authz"):
            method = "any"
        labels = method, route, str(status)
        if labels not in self._requests and len(self._requests) >= _MAX_REQUEST_SERIES:
            return "other", "other", str(status)
        return labels

    def _count(self, counter: str, value: Any) -> None:
        key = counter, value
        self._counts[key if key in self._counts else (counter, "other")] += 1

    def _observe(self, histogram: str, value: str, seconds: float) -> None:
        bounds, key = _HISTOGRAMS[histogram][2], (histogram, value)
        if key not in self._durations:
            self._durations[key] = [0.0] * (len(bounds) + 2)
        durations = self._durations[key]
        durations[bisect_left(bounds, seconds)] += 1
        durations[-1] += seconds


def only(value: float | None) -> Mapping[Labels, float]:
    """The values of a gauge without labels; none if it is not known."""
    return {} if value is None else {(): value}
