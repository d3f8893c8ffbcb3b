"""Metrics are served on a port of their own, and no client keeps a scrape away."""

import asyncio
import socket
import threading
from contextlib import ExitStack, suppress

import pytest

from app.errors import StartupError
from app.telemetry.exposition import serve
from app.telemetry.metrics import CountedEvents
from tests.support.fakes import RecordedEvents
from tests.support.processes import free_port


@pytest.fixture
def events() -> CountedEvents:
    return CountedEvents(RecordedEvents())


def get(port: int, target: str = "/metrics") -> bytes:
    """The whole response, read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


async def test_the_exposition_is_served_and_then_no_more(events: CountedEvents) -> None:
    events.record("session_opened", session_id="session-a")
    port = free_port()
    async with serve(events.render, "127.0.0.1", port):
        response = (await asyncio.to_thread(get, port, "/metrics?a=b")).decode()
        other = await asyncio.to_thread(get, port, "/metrics-of-others")
    head, _, text = response.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(text)}\r\n" in head
    assert "Content-Type: text/plain; version=" in head
    assert 'ticketgate_logins_total{outcome="opened"} 1.0' in text
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
    async with serve(events.render, "127.0.0.1", port, deadline=0.2):
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
        async with serve(events.render, "127.0.0.1", port):
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
            async with serve(events.render, "127.0.0.1", port):
                raise AssertionError
