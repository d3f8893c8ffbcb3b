"""One connection without sockets: refusals, pipelining, expectations, the end of a connection."""

import asyncio

import pytest

from tests.server.conftest import FakeConnection, exchange
from tests.server.examples import CHUNKED, EMPTY, GET, HOLD, MALFORMED, SMUGGLED, get, post

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


# --- refusals ---


async def test_refusal_has_the_shape_of_every_problem() -> None:
    raw = get(b"Accept-Language: zh", b"X-Request-Id: my-request-1", b"X: 1", b"bad")
    (response,) = await exchange(raw)
    headers, problem = response.headers, response.echo
    assert headers["content-type"] == "application/problem+json; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert headers["content-language"] == "zh"
    assert headers["x-request-id"] == problem["request_id"] == "my-request-1"
    assert problem["type"] == "urn:ticketgate:error:malformed_request"


async def test_refusal_takes_nothing_from_the_request_before_it() -> None:
    good = get(b"Accept-Language: zh", b"X-Request-Id: my-request-1")
    _, bad = await exchange(good + b"bad\r\n")
    assert bad.headers["content-language"] == "en"
    assert bad.headers["x-request-id"] != "my-request-1"


async def test_refusal_is_logged_as_one_request() -> None:
    connection = FakeConnection()
    connection.send(post(b"bad") + SMUGGLED)
    await connection.responses()
    ((event, _, fields),) = connection.echo.events.entries
    assert int(fields.pop("duration_ms")) >= 0
    assert (event, fields) == (
        "request",
        {"method": "POST", "route": "none", "status": 400, "code": "malformed_request"},
    )


async def test_refusal_of_head_has_no_body() -> None:
    (response,) = await exchange(get(b"bad").replace(b"GET", b"HEAD"))
    assert (response.status, response.body) == (400, b"")


async def test_refusal_waits_for_the_response_before_it() -> None:
    connection = FakeConnection()
    connection.send(HOLD + MALFORMED["bare-lf"])
    await connection.echo.held.wait()
    assert connection.transport.written == b""
    assert [each.status for each in await connection.responses()] == [200, 400]


async def test_bytes_after_a_refusal_are_dropped() -> None:
    connection = FakeConnection()
    connection.send(MALFORMED["bare-lf"], *[SMUGGLED] * 100)
    assert len(await connection.responses()) == 1
    assert (connection.echo.reached, bytes(connection.protocol._reader.received)) == ([], b"")


# --- one request after the other ---


async def test_pipelined_requests_are_answered_in_order() -> None:
    ahead = b"".join(get().replace(b"/first", b"/%d" % number) for number in range(20))
    found = [each.echo["target"] for each in await exchange(ahead)]
    assert found == [f"/{number}" for number in range(20)]


async def test_application_receives_one_request_at_a_time() -> None:
    connection = FakeConnection()
    connection.send(HOLD + SMUGGLED)
    await connection.echo.held.wait()
    assert connection.echo.reached == ["/hold"]
    await connection.responses()
    assert connection.echo.reached == ["/hold", "/smuggled"]


async def test_application_receives_no_request_before_it_is_whole() -> None:
    connection = FakeConnection()
    for piece in (post(b"Content-Length: 2"), b"{", b"}"):
        assert connection.echo.reached == []
        connection.send(piece)
        await asyncio.sleep(0)
    await connection.responses()
    assert connection.echo.reached == ["/first"]


async def test_reading_pauses_while_bytes_of_a_further_request_are_held() -> None:
    connection = FakeConnection()
    connection.send(HOLD)
    assert not connection.transport.reading_paused
    connection.send(GET)
    assert connection.transport.reading_paused
    assert len(await connection.responses()) == 1
    assert not connection.transport.reading_paused


@pytest.mark.parametrize(
    ("raw", "closed"),
    [
        (get(), False),
        (CHUNKED + EMPTY, False),
        (get(b"Connection: keep-alive"), False),
        (get(b"Connection: keep-alive, Close"), True),
        (CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + EMPTY, True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
async def test_connection_is_kept_unless_the_client_wants_it_closed(
    raw: bytes,
    closed: bool,  # noqa: FBT001
) -> None:
    connection = FakeConnection()
    connection.send(raw)
    (response,) = await connection.responses()
    assert (response.headers.get("connection") == "close") == closed
    assert connection.transport.closed == closed


# --- time ---


async def test_deadline_begins_with_the_first_byte_and_ends_with_the_last() -> None:
    connection = FakeConnection()
    assert connection.expires_at == 10  # nothing has come
    for connection.now, sent, expires_at in (
        (9, GET[:1], 19),
        (15, GET[1:], 19),
        (18, b"\r\n", None),
    ):
        connection.send(sent)
        assert connection.expires_at == expires_at
    connection.now = 100
    await connection.responses()
    assert connection.expires_at == 160  # the keep-alive time
    connection.send(b"\r", b"\n")  # an empty line after a body begins no request
    assert connection.expires_at == 160
    connection.now = 155
    connection.send(b"G")
    assert connection.expires_at == 165


async def test_client_that_does_not_read_is_due_until_it_has_read_everything() -> None:
    connection = FakeConnection()
    connection.send(HOLD)
    await connection.echo.held.wait()
    connection.now = 5
    connection.protocol.pause_writing()
    paused = connection.expires_at
    connection.protocol.resume_writing()
    assert (paused, connection.expires_at) == (15, None)
    await connection.responses()


# --- a body that stays unread ---


def asking(path: bytes, *fields: bytes) -> bytes:
    return post(*fields).replace(b"/first", path)


@pytest.mark.parametrize(
    "raw",
    [
        asking(b"/authz", b"Content-Length: 2") + b"{}",
        asking(b"/authz/v1/a?b=c", b"Content-Length: 1073741824"),
        asking(b"/authz?b=c", b"Transfer-Encoding: chunked") + b"ffffffff\r\n",
        asking(b"/authz/", b"Expect: 100-continue", b"Content-Length: 5"),
    ],
)
async def test_question_of_a_gateway_is_answered_without_its_body(raw: bytes) -> None:
    connection = FakeConnection()
    connection.send(raw, SMUGGLED)
    (response,) = await connection.responses()
    assert (response.status, response.headers["connection"]) == (200, "close")
    assert response.echo["body"] == ""
    assert CONTINUE not in connection.transport.written
    assert connection.protocol._reader.received == b""


async def test_question_without_a_body_leaves_the_connection_open() -> None:
    raw = [asking(b"/authz"), asking(b"/authz/a", b"Content-Length: 0"), get()]
    assert [each.status for each in await exchange(*raw)] == [200, 200, 200]


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [(b"/authz/", 8192, 200), (b"/authz/", 8193, 414), (b"/authz?", 2049, 414), (b"/", 2049, 414)],
)
async def test_target_of_a_gateway_may_hold_the_one_of_its_request(
    path: bytes, length: int, status: int
) -> None:
    (response,) = await exchange(get().replace(b"/first", path.ljust(length, b"a")))
    assert response.status == status


@pytest.mark.parametrize("path", [b"/authz/a", b"/first"])
async def test_framing_that_parsers_disagree_on_is_refused_everywhere(path: bytes) -> None:
    raw = MALFORMED["cl-te"].replace(b"/first", path) + SMUGGLED
    (response,) = await exchange(raw)
    assert (response.status, response.headers["connection"]) == (400, "close")
    assert ("x-auth-user-id" in response.headers) == (path == b"/authz/a")


@pytest.mark.parametrize("path", [b"/authzx", b"/v1/authz", b"/AUTHZ"])
async def test_body_of_another_path_is_read(path: bytes) -> None:
    (response,) = await exchange(asking(path, b"Content-Length: 8193"))
    assert response.status == 413


async def test_nothing_is_written_to_a_lost_connection() -> None:
    connection = FakeConnection()
    connection.send(HOLD)
    await connection.echo.held.wait()
    connection.protocol.connection_lost(None)
    assert await connection.responses() == []


# --- Expect: 100-continue ---


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 2", b"{}"), (b"Transfer-Encoding: chunked", b"2\r\n{}\r\n" + EMPTY)],
)
async def test_waiting_client_is_told_once_to_send_the_body(framing: bytes, body: bytes) -> None:
    connection = FakeConnection()
    connection.send(post(b"Expect: 100-Continue", framing))
    assert connection.transport.written == CONTINUE
    connection.send(body[:1], body[1:])
    _, response = await connection.responses()
    assert (response.status, response.echo["body"]) == (200, "{}")


@pytest.mark.parametrize(
    "pieces",
    [
        [post(b"Expect: 100-continue", b"Content-Length: 2") + b"{}"],
        [get(b"Expect: 100-continue")],
        [b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"{}"],
    ],
    ids=["body-has-come", "no-body", "http-1.0"],
)
async def test_client_that_does_not_wait_is_not_told(pieces: list[bytes]) -> None:
    (response,) = await exchange(*pieces)
    assert response.status == 200


# --- half-closed connections ---


async def test_half_closed_connection_gets_all_responses_and_is_closed() -> None:
    connection = FakeConnection()
    connection.send(HOLD + SMUGGLED + GET)
    assert connection.protocol.eof_received()
    assert [each.status for each in await connection.responses()] == [200, 200]
    assert connection.transport.closed


async def test_half_closed_connection_gets_its_refusal_and_is_closed() -> None:
    connection = FakeConnection()
    connection.send(get(b"bad"))
    assert connection.protocol.eof_received()
    assert [each.status for each in await connection.responses()] == [400]
    assert connection.transport.closed


@pytest.mark.parametrize("raw", [b"", GET, CHUNKED])
async def test_half_closed_connection_without_a_whole_request_is_closed(raw: bytes) -> None:
    connection = FakeConnection()
    connection.send(raw)
    assert not connection.protocol.eof_received()


async def test_refused_connection_is_closed_when_the_client_closes_its_side_too() -> None:
    connection = FakeConnection()
    connection.send(get(b"bad"))
    await connection.responses()
    assert not connection.transport.closed
    assert not connection.protocol.eof_received()


async def test_refused_connection_stays_for_its_client_when_the_server_stops() -> None:
    connection = FakeConnection()
    connection.send(get(b"bad"))
    await connection.responses()
    connection.protocol.shutdown()
    assert (connection.transport.half_closings, connection.transport.closed) == (1, False)
