"""One connection without sockets: refusals, pipelining, expectations, the end of a connection."""

import asyncio

import pytest

from tests.server.conftest import Echo, connect, exchange, responses
from tests.server.examples import CHUNKED, EMPTY, GET, MALFORMED, SMUGGLED, get, post

HOLD = get().replace(b"/first", b"/hold")


async def settle(echo: Echo, tasks: set[asyncio.Task[None]]) -> None:
    """Release held responses, and wait until every task has ended."""
    echo.release.set()
    while tasks:
        await asyncio.wait(set(tasks))


# --- refusals ---


async def test_refusal_has_the_shape_of_every_problem() -> None:
    raw = get(b"Accept-Language: zh", b"X-Request-Id: my-request-1", b"X: 1", b"bad")
    (response,) = await exchange(Echo().app, raw)
    headers, problem = response.headers, response.echo
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert headers["content-language"] == "zh"
    assert headers["x-request-id"] == problem["request_id"] == "my-request-1"
    assert problem["type"] == "urn:ticketgate:error:malformed_request"


async def test_refusal_takes_nothing_from_the_request_before_it() -> None:
    good = get(b"Accept-Language: zh", b"X-Request-Id: my-request-1")
    _, bad = await exchange(Echo().app, good + b"bad\r\n")
    assert bad.headers["content-language"] == "en"
    assert bad.headers["x-request-id"] != "my-request-1"


async def test_refusal_is_logged_as_one_request() -> None:
    echo = Echo()
    (response,) = await exchange(echo.app, post(b"bad") + SMUGGLED)
    ((event, _, fields),) = echo.events.entries
    assert int(fields.pop("duration_ms")) >= 0
    assert (event, fields) == (
        "request",
        {
            "request_id": response.echo["request_id"],
            "method": "POST",
            "route": "none",
            "status": 400,
            "code": "malformed_request",
        },
    )


async def test_refusal_of_head_has_no_body() -> None:
    protocol, transport = connect(Echo().app)
    protocol.data_received(get(b"bad").replace(b"GET", b"HEAD"))
    await settle(Echo(), protocol.tasks)
    head, _, body = bytes(transport.written).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert body == b""


async def test_refusal_waits_for_the_response_before_it() -> None:
    echo = Echo()
    protocol, transport = connect(echo.app)
    protocol.data_received(HOLD + MALFORMED["bare-lf"])
    await echo.held.wait()
    assert transport.written == b""
    await settle(echo, protocol.tasks)
    assert [each.status for each in responses(bytes(transport.written))] == [200, 400]


async def test_bytes_after_a_refusal_are_dropped() -> None:
    echo = Echo()
    protocol, transport = connect(echo.app)
    protocol.data_received(MALFORMED["bare-lf"])
    for _ in range(100):
        protocol.data_received(SMUGGLED)
    await settle(echo, protocol.tasks)
    assert len(responses(bytes(transport.written))) == 1
    assert (echo.reached, protocol._reader.held) == ([], 0)


# --- one request after the other ---


@pytest.mark.parametrize("raw", [get(), CHUNKED + b"2\r\n{}\r\n" + EMPTY, MALFORMED["cl-te"]])
async def test_response_does_not_depend_on_how_the_network_cut_the_bytes(raw: bytes) -> None:
    whole = await exchange(Echo().app, raw + SMUGGLED)
    pieces = await exchange(Echo().app, raw + SMUGGLED, piece=1)
    assert [each.status for each in pieces] == [each.status for each in whole]


async def test_pipelined_requests_are_answered_in_order() -> None:
    ahead = b"".join(get().replace(b"/first", b"/%d" % number) for number in range(20))
    found = await exchange(Echo().app, ahead)
    assert [each.echo["target"] for each in found] == [f"/{number}" for number in range(20)]


async def test_application_receives_one_request_at_a_time() -> None:
    echo = Echo()
    protocol, _ = connect(echo.app)
    protocol.data_received(HOLD + SMUGGLED)
    await echo.held.wait()
    assert echo.reached == ["/hold"]
    await settle(echo, protocol.tasks)
    assert echo.reached == ["/hold", "/smuggled"]


async def test_application_receives_no_request_before_it_is_whole() -> None:
    echo = Echo()
    protocol, _ = connect(echo.app)
    for piece in (post(b"Content-Length: 2"), b"{", b"}"):
        assert echo.reached == []
        protocol.data_received(piece)
        await asyncio.sleep(0)
    await settle(echo, protocol.tasks)
    assert echo.reached == ["/first"]


async def test_reading_pauses_while_more_than_32_kib_are_held() -> None:
    echo = Echo()
    protocol, transport = connect(echo.app)
    big = get(b"X: ".ljust(15_000, b"a"))
    protocol.data_received(HOLD + big * 2)
    assert not transport.reading_paused
    protocol.data_received(big)
    assert transport.reading_paused
    await settle(echo, protocol.tasks)
    assert not transport.reading_paused
    assert len(responses(bytes(transport.written))) == 4


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (get(), True),
        (CHUNKED + EMPTY, True),
        (get(b"Connection: keep-alive"), True),
        (get(b"Connection: keep-alive, Close"), False),
        (CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + EMPTY, False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
async def test_connection_is_kept_unless_the_client_wants_it_closed(raw: bytes, kept: bool) -> None:  # noqa: FBT001
    protocol, transport = connect(Echo().app)
    protocol.data_received(raw)
    await settle(Echo(), protocol.tasks)
    (response,) = responses(bytes(transport.written))
    assert (response.headers.get("connection") != "close", not transport.closed) == (kept, kept)


# --- Expect: 100-continue ---


async def test_waiting_client_is_told_once_to_send_the_body() -> None:
    protocol, transport = connect(Echo().app)
    protocol.data_received(post(b"Expect: 100-Continue", b"Content-Length: 2"))
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    protocol.data_received(b"{")
    protocol.data_received(b"}")
    await settle(Echo(), protocol.tasks)
    _, response = responses(bytes(transport.written))
    assert (response.status, response.echo["body"]) == (200, "{}")


async def test_client_that_waits_to_send_chunks_is_told_too() -> None:
    protocol, transport = connect(Echo().app)
    protocol.data_received(post(b"Expect: 100-continue", b"Transfer-Encoding: chunked"))
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        post(b"Expect: 100-continue", b"Content-Length: 2") + b"{}",
        get(b"Expect: 100-continue"),
        b"POST /first HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["body-has-come", "no-body", "http-1.0"],
)
async def test_client_that_does_not_wait_is_not_told(raw: bytes) -> None:
    (response,) = await exchange(Echo().app, raw)
    assert response.status == 200


async def test_http_1_0_client_is_never_told() -> None:
    protocol, transport = connect(Echo().app)
    protocol.data_received(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert transport.written == b""


# --- half-closed connections ---


async def test_half_closed_connection_gets_all_responses_and_is_closed() -> None:
    echo = Echo()
    protocol, transport = connect(echo.app)
    protocol.data_received(HOLD + SMUGGLED + GET)
    assert protocol.eof_received()
    await settle(echo, protocol.tasks)
    assert [each.status for each in responses(bytes(transport.written))] == [200, 200]
    assert transport.closed


async def test_half_closed_connection_gets_its_refusal_and_is_closed() -> None:
    protocol, transport = connect(Echo().app)
    protocol.data_received(get(b"bad"))
    assert protocol.eof_received()
    await settle(Echo(), protocol.tasks)
    assert [each.status for each in responses(bytes(transport.written))] == [400]
    assert transport.closed


async def test_half_closed_connection_without_a_whole_request_is_closed_at_once() -> None:
    for raw in (b"", GET, CHUNKED):
        protocol, _ = connect(Echo().app)
        protocol.data_received(raw)
        assert not protocol.eof_received()


async def test_refused_connection_is_closed_when_the_client_closes_its_side_too() -> None:
    protocol, transport = connect(Echo().app)
    protocol.data_received(get(b"bad"))
    await settle(Echo(), protocol.tasks)
    assert not transport.closed
    assert not protocol.eof_received()
