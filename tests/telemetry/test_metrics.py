"""What is logged is counted, under closed labels, and told on a port of its own."""

import socket
import urllib.request
from typing import Any

import pytest

from app.errors import StartupError
from app.telemetry.metrics import Metrics


class Log:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_what_is_counted_is_still_logged(metrics: Metrics) -> None:
    log, bug = Log(), LookupError()

    metrics.counting(log)("serving", error=bug, port=8000)

    assert log.lines == [("serving", {"error": bug, "port": 8000})]


def test_requests_are_counted_and_timed_by_route_and_status(metrics: Metrics) -> None:
    record = metrics.counting(Log())
    for milliseconds in (100, 300):
        record("request", method="GET", route="/v1/me", status=200, duration_ms=milliseconds)

    labels = {"method": "GET", "route": "/v1/me", "status": "200"}
    assert value(metrics, "ticketgate_request_seconds_count", **labels) == 2
    assert value(metrics, "ticketgate_request_seconds_sum", **labels) == pytest.approx(0.4)


def test_exchanges_are_counted_by_outcome(metrics: Metrics) -> None:
    metrics.counting(Log())("exchange", outcome="rate_limited", duration_ms=50)

    name = "ticketgate_upstream_exchange_seconds_count"
    assert value(metrics, name, outcome="rate_limited") == 1


def test_how_often_the_counts_of_a_fleet_were_out_of_reach_is_counted(metrics: Metrics) -> None:
    record = metrics.counting(Log())
    for event in ("rate_limits_local", "rate_limits_shared", "rate_limits_local"):
        record(event)

    assert value(metrics, "ticketgate_rate_limit_outages_total") == 2


def test_what_a_shared_store_could_not_do_is_counted(metrics: Metrics) -> None:
    record = metrics.counting(Log())
    record("store_failed", kind="TimeoutError")
    for _ in range(2):
        record("write_unconfirmed")

    name = "ticketgate_store_events_total"
    assert value(metrics, name, event="store_failed", detail="TimeoutError") == 1
    assert value(metrics, name, event="write_unconfirmed", detail="") == 2


@pytest.mark.parametrize(
    ("event", "labels", "detail"),
    [
        ("session_opened", {}, ""),
        ("session_ended", {"reason": "kicked"}, "kicked"),
        ("refresh_reused", {"kind": "recent_previous"}, "recent_previous"),
        ("refresh_reused", {"kind": "stale"}, "stale"),
        ("refresh_reused", {"kind": "ahead"}, "ahead"),
    ],
)
def test_what_happens_to_sessions_is_counted_but_not_to_which(
    metrics: Metrics, event: str, labels: dict[str, str], detail: str
) -> None:
    record = metrics.counting(Log())
    for session_id in ("session-a", "session-b"):
        record(event, session_id=session_id, **labels)

    name = "ticketgate_session_events_total"
    assert value(metrics, name, event=event, detail=detail) == 2


def test_the_exposition_is_served_and_then_no_more(metrics: Metrics) -> None:
    metrics.counting(Log())("session_opened", session_id="session-a")
    port = free_port()

    with metrics.served("127.0.0.1", port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        assert 'ticketgate_session_events_total{detail="",event="session_opened"} 1.0' in text
        assert "session-a" not in text

    with socket.create_server(("127.0.0.1", port)):
        pass  # nobody listens there any more


def test_a_taken_port_is_refused_in_one_line(metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(StartupError, match=rf"^METRICS_PORT: .*:{port}: .*in use"),
            metrics.served("127.0.0.1", port),
        ):
            raise AssertionError
