"""Faults on real sockets and their outcomes, in addition to the table in tests/upstream."""

import asyncio
import ssl
from contextlib import suppress

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadStatusLine
from hypothesis import given, settings
from hypothesis import strategies as st

from app.authing.transport import AuthingTransport, map_client_error
from app.errors import (
    AuthingBadAnswer,
    AuthingError,
    AuthingUnavailable,
    AuthingUntrusted,
    TicketgateError,
)
from tests.authing.builders import (
    SMALL_CA_FILE,
    TICKET,
    USER_ID,
    Answer,
    Canned,
    Request,
    authing,
    authing_over,
    encoded,
    json_response,
    make_user,
    peer,
)

GOOD = json_response(make_user())
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


# --- no response ---


async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async with peer(Answer(GOOD, "close")) as seen, authing(seen.url) as client:
        for _ in range(3):
            assert (await client.exchange(TICKET)).subject == USER_ID
            await asyncio.sleep(0.02)


async def test_an_unreachable_host_has_the_outcome_of_a_refused_connection() -> None:
    async with authing("https://224.0.0.1:1") as client:  # multicast has no route for TCP
        with pytest.raises(AuthingUnavailable) as trouble:
            await client.exchange(TICKET)
        assert trouble.value.outcome == "connect_refused"


# --- responses that are none ---


@pytest.mark.parametrize(
    "response",
    [
        Answer(CHUNKED + b"no number\r\n{}", "close"),
        Answer(b"garbage\r\n\r\n", "close"),
        Answer(b"HTTP/1.1 abc\r\n\r\n", "close"),
        Answer(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}", "close"),
        Answer(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}", "close"),
        Answer(b"\x15\x03\x01\x00\x02\x02\x16", "close"),
    ],
)
async def test_broken_framing_is_a_bad_answer(response: Answer) -> None:
    async with peer(response) as seen, authing(seen.url) as client:
        with pytest.raises(AuthingBadAnswer) as trouble:
            await client.exchange(TICKET)
        assert trouble.value.outcome == "bad_framing"
        assert len(seen.requests) == 1  # nothing is sent twice


async def test_a_reason_phrase_that_is_not_utf_8_is_accepted() -> None:
    response = GOOD.replace(b"Whatever", b"\xff\xfe")
    async with peer(response) as seen, authing(seen.url, connections=2) as client:
        for _ in range(5):
            assert (await client.exchange(TICKET)).subject == USER_ID


# --- connections ---


async def test_cancelled_exchanges_leave_every_connection_usable() -> None:
    loop = asyncio.get_running_loop()
    response = Answer(GOOD, pause=0.004)
    async with peer(response) as seen, authing(seen.url, connections=10) as client:
        cancelled = 0
        for _ in range(15):
            tasks = [asyncio.create_task(client.exchange(TICKET)) for _ in range(20)]
            for number, task in enumerate(tasks):
                loop.call_later(number * 0.0007, task.cancel)
            await asyncio.gather(*tasks, return_exceptions=True)
            cancelled += sum(task.cancelled() for task in tasks)
        assert cancelled > 100
        plain = await asyncio.gather(*(client.exchange(TICKET) for _ in range(20)))
        assert [identity.subject for identity in plain] == [USER_ID] * 20


async def test_an_unrequested_response_is_not_given_to_the_next_user() -> None:
    names = (f"user {number}" for number in range(9))

    def says(_request: Request) -> Answer:
        return Answer(json_response(make_user(nickname=next(names))), "again")

    async with peer(says) as seen, authing(seen.url) as client:
        for number in range(3):
            identity = await client.exchange(TICKET)
            assert identity.claims["nickname"] == f"user {number}"
            await asyncio.sleep(0.05)  # the time for the second answer to arrive


async def test_a_connection_is_used_again() -> None:
    async with peer(GOOD) as seen, authing(seen.url) as client:
        for _ in range(5):
            await client.exchange(TICKET)
        assert seen.connections == 1


# --- what the environment and the peer may not do ---


async def test_cookies_are_not_kept() -> None:
    response = json_response(make_user(), Set_Cookie="sid=made-up; Path=/")
    # Cookie jars tell a name from an address.
    async with (
        peer(response) as seen,
        authing(seen.url.replace("127.0.0.1", "localhost")) as client,
    ):
        await client.exchange(TICKET)
        await client.exchange(TICKET)
        assert all("cookie" not in request.headers for request in seen.requests)


@pytest.mark.parametrize("value", ["a\r\nx-forged: b", "a\nb", "a\0b", "\xe9"])
async def test_a_header_that_would_break_the_lines_of_a_request_is_not_sent(value: str) -> None:
    async with peer(GOOD) as seen, AuthingTransport(SMALL_CA_FILE) as transport:
        with pytest.raises(UnicodeError):
            await transport.send("GET", seen.url, {"x-name": value}, b"")
        assert seen.requests == []


# --- errors of a transport ---


async def test_a_bug_is_not_mapped_to_an_authing_error() -> None:
    async with authing_over(Canned(LookupError())) as client:
        with pytest.raises(LookupError):
            await client.exchange(TICKET)


REFUSED = OSError(111, "")
HOST = ConnectionKey("authing.example", 443, True, True, None, None, None)  # noqa: FBT003


@pytest.mark.parametrize(
    ("foreign", "error", "outcome"),
    [
        (aiohttp.ClientConnectorDNSError(HOST, OSError(-2, "")), AuthingUnavailable, "dns"),
        (aiohttp.ClientConnectorError(HOST, REFUSED), AuthingUnavailable, "connect_refused"),
        (aiohttp.ConnectionTimeoutError(), AuthingUnavailable, "connect_timeout"),
        (aiohttp.ServerDisconnectedError(), AuthingUnavailable, "reset"),
        *(
            (kind(104, ""), AuthingUnavailable, "reset")
            for kind in (aiohttp.ClientOSError, OSError)
        ),
        (aiohttp.ClientPayloadError(), AuthingBadAnswer, "bad_framing"),
        (aiohttp.ClientConnectorSSLError(HOST, ssl.SSLError()), AuthingUntrusted, "tls"),
        (ssl.SSLError(), AuthingUntrusted, "tls"),
        (BadStatusLine(""), AuthingBadAnswer, "bad_framing"),
    ],
)
def test_every_client_error_has_an_outcome(
    foreign: Exception, error: type[AuthingError], outcome: str
) -> None:
    meaning = map_client_error(foreign)
    assert (type(meaning), meaning.outcome) == (error, outcome)


LINES = st.sampled_from(
    [
        *(b"Content-Type: application/json", b"Content-Encoding: \xff", b"Location: //\xff["),
        *(b"Content-Length: 2", b"Content-Length: 99999999999999999999999"),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Retry-After: \xb2"),
        *(b"Connection: upgrade", b"Upgrade: h2c", b"Set-Cookie: \xff=;;="),
    ]
)


@settings(max_examples=100, deadline=None)
@given(
    status=st.integers(0, 999),
    reason=st.binary(max_size=9),
    lines=st.lists(LINES | st.binary(max_size=30), max_size=5),
    body=st.binary(max_size=60) | st.just(encoded(make_user()).encode()),
)
def test_every_response_bytes_give_one_of_our_outcomes(
    status: int, reason: bytes, lines: list[bytes], body: bytes
) -> None:
    first = f"HTTP/1.1 {status:03d} ".encode() + reason
    raw = b"\r\n".join([first, *lines, b"", body])

    async def exchange() -> None:
        async with peer(Answer(raw, "close")) as seen, authing(seen.url) as client:
            with suppress(TicketgateError):
                await client.exchange(TICKET)

    asyncio.run(exchange())
