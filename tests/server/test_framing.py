"""The whole lists of examples, without sockets: what parsers may read differently is refused."""

from contextlib import suppress

import pytest

from app.errors import BodyTooLarge, HeaderTooLarge, MalformedRequest, RequestError, UriTooLong
from app.server.framing import RequestReader
from tests.server.conftest import FakeConnection, exchange
from tests.server.examples import CHUNKED, EMPTY, GET, MALFORMED, SMUGGLED, WELL_FORMED, get, post

in_one_loop = pytest.mark.asyncio(loop_scope="module")

CHUNK = b"400\r\n" + b" " * 1024 + b"\r\n"
HOST = b"Host: api.test\r\n"


def read(*pieces: bytes) -> list[object]:
    """Every request as (method, target, version, headers, body); last the refusal, if any."""
    reader, found = RequestReader(), list[object]()
    for piece in pieces:
        reader.receive_data(piece)
        try:
            while (each := reader.next_request()) is not None:
                found.append((each.method, each.target, each.http_version, each.headers, each.body))
        except RequestError as refusal:
            return [*found, type(refusal)]
    return found


# --- malformed and well-formed ---


@pytest.mark.parametrize("name", MALFORMED)
@in_one_loop
async def test_malformed_request_is_refused_and_the_bytes_after_it_are_ignored(name: str) -> None:
    for before in ([], [get()]):
        connection = FakeConnection()
        connection.send(*before, MALFORMED[name] + SMUGGLED)
        *good, bad = await connection.responses()
        assert [each.status for each in good] == [200 for _ in before]
        assert (bad.status, bad.echo["code"]) == (400, "malformed_request")
        assert bad.headers["connection"] == "close"
        assert connection.echo.reached == ["/first" for _ in before]


@pytest.mark.parametrize("name", WELL_FORMED)
@in_one_loop
async def test_well_formed_request_is_answered_and_so_is_the_next(name: str) -> None:
    raw, body = WELL_FORMED[name]
    first, *rest = await exchange(raw + get())
    assert (first.status, first.echo["target"], first.echo["body"]) == (200, "/first", body)
    assert len(rest) == (0 if "http-1.0" in name else 1)


@pytest.mark.parametrize("name", [*MALFORMED, *WELL_FORMED])
def test_request_is_read_the_same_wherever_it_is_cut(name: str) -> None:
    raw = MALFORMED[name] if name in MALFORMED else WELL_FORMED[name][0]
    raw += SMUGGLED
    whole = read(raw)
    assert read(*(raw[at : at + 1] for at in range(len(raw)))) == whole
    for at in range(1, len(raw)):
        assert read(raw[:at], raw[at:]) == whole


@pytest.mark.parametrize(
    ("pieces", "begun"),
    [
        ([get()], False),
        ([get(), b"\r\n"], False),
        ([get() + b"\r"], False),
        ([get() + b"\r\n", b"G"], True),
        ([get(), b"\r\n", b"\r"], True),
        ([get(), b"G"], True),
        ([get(), b"\n"], True),
        ([CHUNKED], True),
    ],
)
def test_one_empty_line_is_no_part_of_a_next_request(pieces: list[bytes], begun: bool) -> None:  # noqa: FBT001
    reader = RequestReader()
    for piece in pieces:
        reader.receive_data(piece)
        with suppress(RequestError):
            reader.next_request()
    assert reader.begun == begun


@pytest.mark.parametrize("odd", ["//evil.test/", "/a/../b", "/%zz?%00", '/a|b?c="d"', "/@x:1?/?"])
@in_one_loop
async def test_odd_but_unambiguous_path_is_passed_on(odd: str) -> None:
    (response,) = await exchange(get().replace(b"/first", odd.encode(), 1))
    assert response.echo["target"] == odd


@in_one_loop
async def test_application_receives_header_fields_as_sent_but_no_trailers() -> None:
    fields = (b"X-A: 1", b"x-a:  2 ", b"Upgrade: h2c", b"Transfer-Encoding: chunked")
    (response,) = await exchange(post(*fields) + b"2\r\n{}\r\n0\r\nX-B: 3\r\n\r\n")
    assert response.echo["headers"] == [
        ["host", "api.test"],
        ["x-a", "1"],
        ["x-a", "2"],
        ["upgrade", "h2c"],
        ["transfer-encoding", "chunked"],
    ]


# --- sizes ---


def with_target(size: int) -> bytes:
    return b"GET " + b"/".ljust(size, b"a") + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def with_header(size: int) -> bytes:
    return (
        b"GET / HTTP/1.1\r\n" + b"X: ".ljust(size - len(HOST) - 2, b"a") + b"\r\n" + HOST + b"\r\n"
    )


def with_fields(number: int) -> bytes:
    return GET + b"X:\r\n" * (number - 1) + b"\r\n"


def with_body(size: int) -> bytes:
    return post(b"Content-Length: %d" % size) + b" " * size


def with_chunks(size: int) -> bytes:
    rest = b"%x\r\n" % (size % 1024) + b" " * (size % 1024) + b"\r\n" if size % 1024 else b""
    return CHUNKED + CHUNK * (size // 1024) + rest + EMPTY


def with_trailers(size: int) -> bytes:
    return CHUNKED + b"0\r\n" + b"X: ".ljust(size - 2, b"a") + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("make", "limit", "refusal"),
    [
        (with_target, 2048, UriTooLong),
        (with_header, 16384, HeaderTooLarge),
        (with_fields, 100, HeaderTooLarge),
        (with_body, 8192, BodyTooLarge),
        (with_chunks, 8192, BodyTooLarge),
        (with_trailers, 16384, HeaderTooLarge),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_request_at_the_limit_passes_and_one_byte_more_is_refused(
    make: type[bytes], limit: int, refusal: type[RequestError]
) -> None:
    assert len(read(make(limit))) == 1
    assert read(make(limit)) != [refusal]
    assert read(make(limit + 1)) == [refusal]


@pytest.mark.parametrize(
    ("before", "endless", "refusal", "bound"),
    [
        pytest.param(b"", b"G", UriTooLong, 2 * 1024 + 64, id="request-line"),
        pytest.param(b"GET /", b"a", UriTooLong, 2 * 1024 + 64, id="target"),
        pytest.param(GET + b"X: ", b"a", HeaderTooLarge, 16 * 1024 + 2, id="field"),
        pytest.param(GET, b"X: a\r\n", HeaderTooLarge, 16 * 1024 + 2, id="fields"),
        pytest.param(CHUNKED, b"1", MalformedRequest, 20, id="chunk-size"),
        pytest.param(CHUNKED + b"1;", b"a", MalformedRequest, 20, id="chunk-extension"),
        pytest.param(CHUNKED, b"1\r\na\r\n", BodyTooLarge, 8 * 1024 * 6, id="chunks"),
        pytest.param(CHUNKED + b"0\r\n", b"X: a\r\n", HeaderTooLarge, 16 * 1024 + 2, id="trailers"),
    ],
)
def test_endless_request_is_refused_when_the_limit_is_reached(
    before: bytes, endless: bytes, refusal: type[RequestError], bound: int
) -> None:
    number = bound // len(endless) + 1
    assert read(before, *[endless] * number) == [refusal]


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        pytest.param(post(b"Content-Length: 1073741824"), BodyTooLarge, id="length"),
        pytest.param(post(b"Content-Length: " + b"9" * 5000), MalformedRequest, id="5000-digits"),
        pytest.param(CHUNKED + CHUNK * 8 + b"1\r\n", BodyTooLarge, id="chunks"),
        pytest.param(CHUNKED + b"ffffffff\r\n", BodyTooLarge, id="chunk"),
        pytest.param(
            post(b"Expect: 100-continue", b"Content-Length: 8193"), BodyTooLarge, id="expectation"
        ),
    ],
)
def test_body_is_refused_as_soon_as_its_announced_size_is_too_large(
    raw: bytes, refusal: type[RequestError]
) -> None:
    assert read(raw) == [refusal]


def test_length_of_5000_zeros_and_a_digit_is_that_digit() -> None:
    assert len(read(post(b"Content-Length: " + b"0" * 5000 + b"2") + b"{}")) == 1
