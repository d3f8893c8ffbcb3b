"""T7.4: what two parsers could read differently is refused, and nothing after it is answered."""

import pytest

from tests.server.conftest import Answer, House, one_answer
from tests.server.examples import CHUNKED, EMPTY, FINE, MALFORMED, SMUGGLED, get, post

pytestmark = pytest.mark.asyncio(loop_scope="module")

LAST = get(b"Connection: close")
METHODS = (
    "ACL BIND CHECKOUT COPY DELETE GET LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE OPTIONS "
    "PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNLINK UNLOCK"
)


def refused(raw: list[Answer]) -> bool:
    (answer,) = raw
    return (answer.status, answer.echo["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("name", [pytest.param(name, id=f"T7.4-{name}") for name in MALFORMED])
async def test_it_is_refused_before_routing_and_what_follows_is_never_answered(
    house: House, name: str
) -> None:
    assert refused(await house.say(MALFORMED[name] + SMUGGLED))
    assert house.reached == []


@pytest.mark.parametrize("name", [pytest.param(name, id=f"T7.4-{name}") for name in MALFORMED])
async def test_it_is_refused_after_a_good_request_too(house: House, name: str) -> None:
    good, bad = await house.say(get() + MALFORMED[name] + SMUGGLED)
    assert good.status == 200
    assert refused([bad])
    assert house.reached == ["/first"]


@pytest.mark.parametrize("name", [pytest.param(name, id=f"T7.4-{name}") for name in FINE])
async def test_what_leaves_no_doubt_is_let_through_and_so_is_what_follows(
    house: House, name: str
) -> None:
    raw, body = FINE[name]
    first, *rest = await house.say(raw + LAST)
    assert (first.status, first.echo["target"], first.echo["body"]) == (200, "/first", body)
    assert len(rest) == (0 if "http-1.0" in name else 1)


@pytest.mark.parametrize("method", METHODS.split())
async def test_every_method_gets_as_far_as_routing_over_either_parser(
    house: House, method: str
) -> None:
    (answer,) = await house.say(LAST.replace(b"GET", method.encode(), 1))
    assert answer.echo["method"] == method


@pytest.mark.parametrize("odd", ["//evil.test/", "/a/../b", "/%zz?%00", '/a|b?c="d"', "/@x:1?/?"])
async def test_a_path_that_is_merely_odd_is_for_routing_to_judge(house: House, odd: str) -> None:
    (answer,) = await house.say(LAST.replace(b"/first", odd.encode(), 1))
    assert answer.echo["target"] == odd


async def test_the_application_gets_the_fields_as_they_came_but_for_those_of_the_connection(
    house: House,
) -> None:
    fields = (
        b"X-A: 1",
        b"x-a:  2 ",
        b"Cookie: a=b",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
    )
    (answer,) = await house.say(post(*fields) + b"2\r\n{}\r\n" + EMPTY)
    assert sorted(answer.echo["headers"]) == [
        ["connection", "close"],
        ["content-length", "2"],
        ["cookie", "a=b"],
        ["host", "api.test"],
        ["x-a", "1"],
        ["x-a", "2"],
    ]


async def test_a_refusal_has_the_shape_of_every_problem(house: House) -> None:
    (answer,) = await house.say(get(b"Accept-Language: zh", b"X-Request-Id: my-request-1", b"bad"))
    headers, problem = answer.headers, answer.echo
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert headers["content-language"] == "zh"
    assert headers["x-request-id"] == problem["request_id"] == "my-request-1"
    assert problem["type"] == "urn:ticketgate:error:malformed_request"


async def test_a_refusal_is_logged_as_one_request(house: House) -> None:
    (answer,) = await house.say(post(b"bad") + SMUGGLED)
    (line,) = house.lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "error": None,
        "request_id": answer.echo["request_id"],
        "method": "POST",
        "route": "none",
        "status": 400,
        "code": "malformed_request",
    }


async def test_a_refusal_of_head_has_no_body(house: House) -> None:
    async with house.connected() as (reader, writer):
        writer.write(get(b"bad").replace(b"GET", b"HEAD"))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert body == b""


async def test_requests_sent_ahead_are_answered_one_after_the_other(house: House) -> None:
    ahead = b"".join(get().replace(b"/first", b"/%d" % number) for number in range(20))
    *many, last = await house.say(ahead + LAST)
    assert [answer.echo["target"] for answer in many] == [f"/{number}" for number in range(20)]
    assert last.status == 200


async def test_a_refusal_waits_for_the_answer_before_it(house: House) -> None:
    async with house.connected() as (reader, writer):
        writer.write(get().replace(b"/first", b"/hold") + MALFORMED["bare-lf"])
        await house.held.wait()
        house.release.set()
        first, second = await one_answer(reader), await one_answer(reader)
    assert (first.status, second.status) == (200, 400)


async def test_who_waits_to_be_told_to_send_the_body_is_told_once(house: House) -> None:
    async with house.connected() as (reader, writer):
        writer.write(post(b"Expect: 100-Continue", b"Content-Length: 2"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert house.reached == []
        writer.write(b"{")
        writer.write(b"}")
        answer = await one_answer(reader)
    assert (answer.status, answer.echo["body"]) == (200, "{}")


@pytest.mark.parametrize(
    "raw",
    [
        post(b"Expect: 100-continue", b"Content-Length: 2", b"Connection: close") + b"{}",
        get(b"Expect: 100-continue", b"Connection: close"),
        b"POST /first HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["body-has-come", "no-body", "http-1.0"],
)
async def test_who_does_not_wait_is_not_told(house: House, raw: bytes) -> None:
    (answer,) = await house.say(raw)
    assert answer.status == 200


async def test_a_connection_is_kept_until_either_side_wants_it_closed(house: House) -> None:
    async with house.connected() as (reader, writer):
        for raw in (get(), CHUNKED + EMPTY, get(b"Connection: keep-alive")):
            writer.write(raw)
            assert (await one_answer(reader)).headers.get("connection") != "close"
        writer.write(get(b"Connection: keep-alive, Close"))
        assert (await one_answer(reader)).headers["connection"] == "close"
        assert await reader.read() == b""
