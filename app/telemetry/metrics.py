"""Prometheus metrics, counted from the same events as the log; metrics.toml lists them.

No label value comes from a client or a person: each is of a closed set, or the template of a route,
or the id of a key. A closed set starts at 0, because `increase()` of Prometheus does not see the
first event of a series that begins at 1. Only the event loop counts, in plain dictionaries: the
library's own metrics take a lock and some microseconds for each event.
"""

import tomllib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from importlib.resources import files
from itertools import accumulate
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, core, generate_latest
from prometheus_client.registry import Collector
from typing_extensions import override

from app import __version__
from app.errors import RateLimited
from app.events import EventName, Events

Labels: TypeAlias = tuple[str, ...]
"""The values of labels."""
_TABLE = tomllib.loads(files(__package__).joinpath("metrics.toml").read_text("utf-8"))
_MAX_REQUEST_SERIES = 110
_TIMED = ("/v1/", "/authz", "/oauth2/")
"""The routes of apps and gateways, which have durations of their own."""
_RESULTS = {"ok": "ok", "ticket_rejected": "refused", "account_blocked": "refused"}
_NOT_ASKED = ("bulkhead", "breaker_open")


class CountedEvents(Events, Collector):
    """Counts each event of this process and passes it on."""

    def __init__(self, inner: Events) -> None:
        self._inner = inner
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(self)
        self.gauges: dict[str, dict[Labels, float]] = {
            "build_info": {(__version__,): 1.0},
            "store_durable": {(): 1.0},
        }
        """The values of each gauge, by label values."""
        self.before_scrape: Callable[[], Awaitable[None]] | None = None
        """Sets the other gauges."""
        self._requests: defaultdict[Labels, int] = defaultdict(int)
        self._labels: dict[tuple[str, str, int], Labels] = {}
        """Of each kind of request."""
        self._counts: dict[str, dict[str, int]] = {}
        self._counted: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for name, counter in _TABLE["counters"].items():
            values = [*counter["values"], "other"] if "label" in counter else [""]
            self._counts[name] = dict.fromkeys(values, 0)
            for event, source in counter["events"].items():
                self._counted[event].append((name, source))
        self._durations = {
            name: {value: [0.0] * (len(each["bounds"]) + 2) for value in each["values"]}
            for name, each in _TABLE["histograms"].items()
        }
        """The counts of the buckets, and the sum of the seconds."""

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        if event == "request":
            self._count_request(fields)
        elif event == "exchange" and fields["outcome"] not in _NOT_ASKED:
            result = _RESULTS.get(str(fields["outcome"]), "failed")
            self._observe("exchange_duration_seconds", result, int(fields["duration_ms"]) / 1000)
        elif event == "store_not_durable":
            self.gauges["store_durable"] = {(): 0}
        for counter, source in self._counted.get(event, ()):
            self._count(counter, source[1:] if source[0] == "=" else str(fields[source]))
        self._inner.record(event, error=error, **fields)

    def count_command(self, name: str, seconds: float) -> None:
        """Count a command of the store, which is no event."""
        histogram = "store_command_duration_seconds"
        self._observe(histogram, name if name in self._durations[histogram] else "other", seconds)

    async def render(self) -> bytes:
        """Set the gauges, and return the exposition in Prometheus' text format."""
        if self.before_scrape is not None:
            await self.before_scrape()
        return generate_latest(self.registry)

    @override
    def collect(self) -> Iterator[core.Metric]:
        for name, (text, *labels) in _TABLE["gauges"].items():
            gauge = core.GaugeMetricFamily(f"ticketgate_{name}", text, labels=labels)
            for values, number in self.gauges.get(name, {}).items():
                gauge.add_metric(values, number)
            yield gauge
        for name, each in _TABLE["counters"].items():
            labels = [each["label"]] if "label" in each else []
            counter = core.CounterMetricFamily(f"ticketgate_{name}", each["text"], labels=labels)
            for value, count in self._counts[name].items():
                counter.add_metric([value], count)
            yield counter
        labels = ["method", "route", "status"]
        requests = core.CounterMetricFamily("ticketgate_http_requests", "Requests", labels=labels)
        for values, count in self._requests.items():
            requests.add_metric(values, count)
        yield requests
        for name, each in _TABLE["histograms"].items():
            text, labels = each["text"], [each["label"]]
            histogram = core.HistogramMetricFamily(f"ticketgate_{name}", text, labels=labels)
            bounds = [*map(str, each["bounds"]), "+Inf"]
            for value, (*buckets, total) in self._durations[name].items():
                counts = zip(bounds, accumulate(buckets), strict=True)
                histogram.add_metric([value], list(counts), total)
            yield histogram

    def _count_request(self, fields: Mapping[str, Any]) -> None:
        method, route = fields["method"], fields["route"]
        request = method, route, fields["status"]
        if request not in self._labels:
            self._labels[request] = self._new_labels(*request)
        self._requests[self._labels[request]] += 1
        timed = route if route.startswith(_TIMED) else "other"
        self._observe("http_request_duration_seconds", timed, fields["duration_ms"] / 1000)
        if (code := fields.get("code")) is not None:
            known = _TABLE["requests"].get(f"{method} {route}", {})
            if "counter" in known:
                self._count(known["counter"], code)
            if code == RateLimited.code:
                self._count("rate_limited", known.get("limit", "other"))

    def _new_labels(self, method: str, route: str, status: int) -> Labels:
        """Return the labels of such requests. Values that only clients choose become one value."""
        if route == "none" or status == HTTPStatus.METHOD_NOT_ALLOWED:
            method = "other"
        elif route.startswith("/authz"):
            method = "any"
        labels = method, route, str(status)
        if labels not in self._requests and len(self._requests) >= _MAX_REQUEST_SERIES:
            return "other", "other", str(status)
        return labels

    def _count(self, counter: str, value: str) -> None:
        counts = self._counts[counter]
        counts[value if value in counts else "other"] += 1

    def _observe(self, histogram: str, value: str, seconds: float) -> None:
        series, bounds = self._durations[histogram], _TABLE["histograms"][histogram]["bounds"]
        if value not in series:
            series[value] = [0.0] * (len(bounds) + 2)
        series[value][bisect_left(bounds, seconds)] += 1
        series[value][-1] += seconds
