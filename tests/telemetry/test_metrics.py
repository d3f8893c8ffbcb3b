"""Events are counted under closed labels and served on a port of their own."""

import asyncio
import socket
import threading
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from app.errors import StartupError
from app.events import EventName
from app.telemetry.metrics import CountedEvents
from tests.support.fakes import RecordedEvents


@pytest.fixture
def events() -> CountedEvents:
    return CountedEvents(RecordedEvents())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_counted_event_is_passed_on() -> None:
    inner, bug = RecordedEvents(), LookupError()
    CountedEvents(inner).record("serving", error=bug, port=8000)
    assert inner.entries == [("serving", "", {"port": 8000})]
    assert inner.errors == [bug]


RECORDED: list[tuple[EventName, dict[str, Any]]] = [
    *(
        (
            "request",
            {"method": "GET", "route": "/v1/me", "status": 200, "duration_ms": milliseconds},
        )
        for milliseconds in (100, 300)
    ),
    ("exchange", {"outcome": "rate_limited", "duration_ms": 50}),
    *(("rate_limits_local", {}), ("rate_limits_shared", {}), ("rate_limits_local", {})),
    *(("keys_reload_failed", {"reason": "json"}), ("keys_reloaded", {})),
    *(("user_looked_at", {"outcome": outcome}) for outcome in ("ok", "ok", "account_blocked")),
    *(("secret_reload_failed", {"setting": "X"}), ("secret_reloaded", {"setting": "X"})),
    ("store_failed", {"kind": "TimeoutError"}),
    *(("write_unconfirmed", {}),) * 2,
    *(("session_opened", {"session_id": name}) for name in ("session-a", "session-b")),
    ("session_ended", {"session_id": "session-a", "reason": "kicked"}),
    *(
        ("refresh_reused", {"session_id": "session-a", "kind": kind})
        for kind in ("recent_previous", "stale", "ahead", "stale")
    ),
]
REQUEST = {"method": "GET", "route": "/v1/me", "status": "200"}


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("request_seconds_count", REQUEST, 2),
        ("request_seconds_sum", REQUEST, 0.4),
        ("upstream_exchange_seconds_count", {"outcome": "rate_limited"}, 1),
        ("rate_limit_outages_total", {}, 2),
        ("reloads_total", {"event": "keys_reload_failed"}, 1),
        ("reloads_total", {"event": "keys_reloaded"}, 1),
        ("user_looks_total", {"outcome": "ok"}, 2),
        ("user_looks_total", {"outcome": "account_blocked"}, 1),
        ("reloads_total", {"event": "secret_reload_failed"}, 1),
        ("reloads_total", {"event": "secret_reloaded"}, 1),
        ("store_events_total", {"event": "store_failed", "detail": "TimeoutError"}, 1),
        ("store_events_total", {"event": "write_unconfirmed", "detail": ""}, 2),
        ("session_events_total", {"event": "session_opened", "detail": ""}, 2),
        ("session_events_total", {"event": "session_ended", "detail": "kicked"}, 1),
        ("session_events_total", {"event": "refresh_reused", "detail": "recent_previous"}, 1),
        ("session_events_total", {"event": "refresh_reused", "detail": "stale"}, 2),
        ("session_events_total", {"event": "refresh_reused", "detail": "ahead"}, 1),
    ],
)
def test_events_are_counted_under_closed_labels(
    events: CountedEvents, name: str, labels: dict[str, str], value: float
) -> None:
    for event, fields in RECORDED:
        events.record(event, **fields)
    found = events.registry.get_sample_value(f"ticketgate_{name}", labels)
    assert found == pytest.approx(value)


def get(port: int, target: str = "/metrics") -> bytes:
    """The whole response, read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


async def test_the_exposition_is_served_and_then_no_more(events: CountedEvents) -> None:
    events.record("session_opened", session_id="session-a")
    port = free_port()
    async with events.served("127.0.0.1", port):
        response = (await asyncio.to_thread(get, port, "/metrics?a=b")).decode()
        other = await asyncio.to_thread(get, port, "/metrics-of-others")
    head, _, text = response.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(text)}\r\n" in head
    assert "Content-Type: text/plain; version=" in head
    assert 'ticketgate_session_events_total{detail="",event="session_opened"} 1.0' in text
    assert "session-a" not in text
    assert other.startswith(b"HTTP/1.1 404 Not Found\r\n")
    with socket.create_server(("127.0.0.1", port)):
        pass  # the port is free again


@pytest.mark.parametrize(
    "sent", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000], ids=len
)
async def test_a_client_that_sends_no_whole_request_is_disconnected(
    events: CountedEvents, sent: bytes
) -> None:
    port = free_port()
    async with events.served("127.0.0.1", port, deadline=0.2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_idle_connections_cost_no_thread_and_keep_no_scrape_away(
    events: CountedEvents,
) -> None:
    port, threads = free_port(), threading.active_count()
    with ExitStack() as idle:
        async with events.served("127.0.0.1", port):
            for _ in range(60):
                idle.enter_context(socket.create_connection(("127.0.0.1", port)))
            response = await asyncio.to_thread(get, port)
            assert threading.active_count() <= threads + 1  # the one of to_thread
            tasks = len(asyncio.all_tasks())
    assert b"ticketgate_rate_limit_outages_total" in response
    assert tasks < 50


async def test_a_taken_port_is_refused_in_one_line(events: CountedEvents) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=rf"^METRICS_PORT: .*:{port}: .*in use"):
            async with events.served("127.0.0.1", port):
                raise AssertionError
