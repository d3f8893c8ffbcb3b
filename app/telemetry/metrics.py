"""Prometheus metrics, counted from the same events as the log; metrics.toml lists them.

No label value comes from a client or a person: each is of a closed set, or the template of a route,
or the id of a key. A closed set starts at 0, because `increase()` of Prometheus does not see the
first event of a series that begins at 1. Only the event loop counts, in plain dictionaries: the
library's own metrics take a lock and some microseconds for each event.
"""

import math
import time
import tomllib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from http import HTTPStatus
from importlib.resources import files
from inspect import iscoroutinefunction
from itertools import accumulate
from types import SimpleNamespace
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, core, generate_latest
from prometheus_client.registry import Collector
from typing_extensions import override

from app import __version__
from app.errors import AuthingError, RateLimited, StoreUnavailable
from app.events import EventName, Events
from app.sessions.ports import Stores

Command: TypeAlias = Callable[..., Awaitable[Any]]
Wrap: TypeAlias = Callable[[str, Command], Command]
"""Gets the name of a command and the command."""
Ask: TypeAlias = Callable[[], Awaitable[float | None]]
Labels: TypeAlias = tuple[str, ...]  # the values of labels
_TABLE = tomllib.loads(files(__package__).joinpath("metrics.toml").read_text("utf-8"))
_BOUNDS = {name: each["bounds"] for name, each in _TABLE["histograms"].items()}
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
        self._durable = True
        self.gauges: dict[str, Callable[[], Mapping[Labels, float]]] = {
            "build_info": lambda: {(__version__,): 1},
            "store_durable": lambda: {(): self._durable},
        }
        """What reads the values of each gauge at a scrape, by label values."""
        self.asked: dict[str, Ask] = {}
        """What asks for the value of another gauge before a scrape."""
        self._told: dict[str, Mapping[Labels, float]] = {}
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
            self._durable = False
        for counter, source in self._counted.get(event, ()):
            self._count(counter, source[1:] if source[0] == "=" else str(fields[source]))
        self._inner.record(event, error=error, **fields)

    def timed(self, name: str, command: Command) -> Command:
        """Wrap a command of the store, to observe its duration."""
        histogram = "store_command_duration_seconds"
        value = name if name in self._durations[histogram] else "other"

        async def run(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return await command(*args, **kwargs)
            finally:
                self._observe(histogram, value, time.perf_counter() - started)

        return run

    async def render(self) -> bytes:
        """Ask for the gauges, and return the exposition in Prometheus' text format."""
        for name, ask in self.asked.items():
            value = await ask()
            self._told[name] = {} if value is None else {(): value}
        return generate_latest(self.registry)

    @override
    def collect(self) -> Iterator[core.Metric]:
        for name, (text, *labels) in _TABLE["gauges"].items():
            gauge = core.GaugeMetricFamily(f"ticketgate_{name}", text, labels=labels)
            found = self.gauges[name]() if name in self.gauges else self._told.get(name, {})
            for values, number in found.items():
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
        series, bounds = self._durations[histogram], _BOUNDS[histogram]
        counts = series.get(value) or series.setdefault(value, [0.0] * (len(bounds) + 2))
        counts[bisect_left(bounds, seconds)] += 1
        counts[-1] += seconds


def ask_every(seconds: float, ask: Ask, timer: Callable[[], float]) -> Ask:
    """Ask at most once in so many seconds of `timer`. A failure keeps the last value."""
    next_at, value = -math.inf, None

    async def run() -> float | None:
        nonlocal next_at, value
        if timer() >= next_at:
            next_at = timer() + seconds
            with suppress(AuthingError, StoreUnavailable):
                value = await ask()
        return value

    return run


def wrapped_stores(stores: Stores, wrap: Wrap) -> Stores:
    """Return the same ports with each command wrapped."""
    ports = {port.name: wrapped(getattr(stores, port.name), wrap) for port in fields(stores)}
    return Stores(**ports | {"count": stores.count})


def wrapped(port: object, wrap: Wrap) -> Any:
    """Return a port with the same commands, each of them wrapped."""
    public = {name: getattr(port, name) for name in dir(port) if not name.startswith("_")}
    return SimpleNamespace(
        **{name: wrap(name, each) for name, each in public.items() if iscoroutinefunction(each)}
    )
