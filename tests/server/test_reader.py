"""The reader alone: what it says does not depend on how the bytes were cut, nor on the parser."""

from typing import Any

import h11
import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import (
    BodyTooLarge,
    HeaderTooLarge,
    MalformedRequest,
    RequestError,
    UriTooLong,
)
from app.server.reader import Request, RequestReader
from tests.server.examples import CHUNKED, FINE, GET, MALFORMED, SMUGGLED, post


def read(raw: bytes, *, piece: int) -> list[Request]:
    reader, requests = RequestReader(), []
    for start in range(0, len(raw), piece):
        reader.feed(raw[start : start + piece])
        while (request := reader.next()) is not None:
            requests.append(request)
    return requests


@pytest.mark.parametrize("piece", [1, 2, 7])
@pytest.mark.parametrize("name", [pytest.param(name, id=f"T7.4-{name}") for name in MALFORMED])
def test_it_is_refused_however_it_is_cut_into_pieces(name: str, piece: int) -> None:
    with pytest.raises(MalformedRequest):
        read(MALFORMED[name] + SMUGGLED, piece=piece)


@pytest.mark.parametrize("piece", [1, 2, 7])
@pytest.mark.parametrize("name", [pytest.param(name, id=f"T7.4-{name}") for name in FINE])
def test_it_is_let_through_however_it_is_cut_into_pieces(name: str, piece: int) -> None:
    raw, body = FINE[name]
    first, second = read(raw + SMUGGLED, piece=piece)
    assert (first.target, first.body or b"") == (b"/first", body.encode())
    assert second.target == b"/smuggled"


@pytest.mark.parametrize(
    ("before", "endless", "refusal", "bound"),
    [
        pytest.param(b"", b"G", UriTooLong, 2 * 1024 + 64, id="T7.5-first-line"),
        pytest.param(b"GET /", b"a", UriTooLong, 2 * 1024 + 64, id="T7.5-target"),
        pytest.param(GET + b"X: ", b"a", HeaderTooLarge, 16 * 1024 + 2, id="T7.5-field"),
        pytest.param(GET, b"X: a\r\n", HeaderTooLarge, 16 * 1024 + 2, id="T7.5-fields"),
        pytest.param(CHUNKED, b"1", MalformedRequest, 20, id="T7.5-chunk-size"),
        pytest.param(CHUNKED + b"1;", b"a", MalformedRequest, 20, id="T7.5-chunk-extension"),
        pytest.param(CHUNKED, b"1\r\na\r\n", BodyTooLarge, 8 * 1024 * 6, id="T7.5-chunks"),
    ],
)
def test_what_does_not_end_is_refused_when_the_limit_is_reached(
    before: bytes, endless: bytes, refusal: type[RequestError], bound: int
) -> None:
    reader = RequestReader()
    reader.feed(before)
    with pytest.raises(refusal):
        feed(reader, endless, bound)


def feed(reader: RequestReader, endless: bytes, bound: int) -> None:
    came = 0
    while reader.next() is None:
        assert came <= bound
        reader.feed(endless)
        came += len(endless)


def test_the_body_of_a_refused_length_is_not_asked_for() -> None:
    reader = RequestReader()
    reader.feed(post(b"Expect: 100-continue", b"Content-Length: 8193"))
    with pytest.raises(BodyTooLarge):
        reader.next()
    assert not reader.invitation_due


NAME = st.text("abcXYZ-_!#$%&'*+.^`|~09", min_size=1, max_size=12).map(str.encode)
VALUE = st.binary(max_size=20).map(lambda raw: bytes(b for b in raw if b >= 0x20 and b != 0x7F))
FRAMING = st.sampled_from(
    [
        (b"Content-Length", b"3"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"keep-alive, Upgrade"),
        (b"Connection", b"close"),
        (b"Proxy-Connection", b"close"),
        (b"Upgrade", b"h2c"),
        (b"Expect", b"100-continue"),
        (b"TE", b"trailers"),
        (b"Keep-Alive", b"timeout=5"),
    ]
)
TARGET = st.text("".join(map(chr, range(0x21, 0x7F))).replace("#", ""), max_size=20).map(
    lambda rest: b"/" + rest.encode()
)
METHOD = st.sampled_from([b"GET", b"HEAD", b"POST", b"PURGE", b"SEARCH", b"SOURCE", b"OPTIONS"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    minor = draw(st.sampled_from([b"0", b"1"]))
    fields = [
        (b"Host", b"a"),
        *draw(st.lists(st.one_of(st.tuples(NAME, VALUE), FRAMING), max_size=6)),
    ]
    lines = [b"%b %b HTTP/1.%b" % (draw(METHOD), draw(TARGET), minor)]
    lines += [b"%b:%b" % each for each in fields]
    names = {name.lower() for name, _ in fields}
    body = b""
    if b"transfer-encoding" in names:
        body = b"3\r\nabc\r\n0\r\n\r\n"
    elif b"content-length" in names:
        body = b"abc"
    return b"\r\n".join([*lines, b"", body])


@given(requests())
def test_both_parsers_read_what_is_let_through_as_the_reader_does(raw: bytes) -> None:
    try:
        (request,) = read(raw, piece=len(raw))
    except RequestError:
        return
    encoded = request.encode(last=False)
    seen = (request.method, request.target, request.body or b"")
    assert by_httptools(encoded) == seen
    assert by_h11(encoded) == seen


def by_httptools(raw: bytes) -> tuple[bytes, bytes, bytes]:
    class Sink:
        target = body = b""
        complete = 0

        def on_url(self, part: bytes) -> None:
            self.target += part

        def on_body(self, part: bytes) -> None:
            self.body += part

        def on_message_complete(self) -> None:
            self.complete += 1

    sink = Sink()
    parser = httptools.HttpRequestParser(sink)
    parser.feed_data(raw)
    assert sink.complete == 1
    return parser.get_method(), sink.target, sink.body


def by_h11(raw: bytes) -> tuple[bytes, bytes, bytes]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    request, body = connection.next_event(), b""
    assert isinstance(request, h11.Request)
    event: Any
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        body += event.data
    assert connection.trailing_data == (b"", False)
    return request.method, request.target, body
