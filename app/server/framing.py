"""Reads the requests of one connection: httptools parses, this module limits and checks.

httptools gets one whole line at a time, and each request gets a new parser. So sizes are counted
while bytes arrive, no parser sees two requests, and it does not matter how the network cut the
bytes. Where RFC 9112 lets a server tolerate or refuse, this refuses: a proxy in front may read the
tolerated request differently (request smuggling). No I/O, no clock.
"""

import re
from collections.abc import Generator
from typing import TypeAlias

import httptools

from app.errors import BodyTooLarge, HeaderTooLarge, MalformedRequest, RequestError, UriTooLong

MAX_TARGET_BYTES = 2 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADER_FIELDS = 100
MAX_BODY_BYTES = 8 * 1024
_MAX_REQUEST_LINE = MAX_TARGET_BYTES + 32
_EMPTY_LINE = b"\r\n"
_MAX_CHUNK_LINE = 16 + len(_EMPTY_LINE)

_SOLE = frozenset({b"host", b"content-length", b"transfer-encoding"})
# Any method, but only the origin form of a target (RFC 9112 section 3.2.1), without a fragment.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[!\"$-~]*) HTTP/(1\.[01])\r\n")
# The host of RFC 3986 section 3.2.2, which may be empty, and a port.
_HOST = re.compile(
    rb"(\[[0-9A-Za-z:._~!$&'()*+,;=-]+\]|([0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?"
)

Steps: TypeAlias = Generator[None, None, None]
"""Pauses whenever more bytes are needed."""


class Request:
    """One request, or the part of it that was read. uvicorn uses it as its parser.

    `headers` holds names in lower case and values without white space around them.
    `awaits_continue`: the client waits for 100 Continue before it sends the body.
    """

    def __init__(self, method: bytes = b"GET", target: bytes = b"/") -> None:
        self.method = method
        self.target = target
        self.http_version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.on_body = self.body.extend  # called by httptools
        self.awaits_continue = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a field; called by httptools."""
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def get_method(self) -> bytes:
        """Return the method; called by uvicorn, like the three below."""
        return self.method

    def get_http_version(self) -> str:
        """Return `1.0` or `1.1`."""
        return self.http_version

    def should_keep_alive(self) -> bool:
        """Tell whether the client lets the connection be kept."""
        return b"close" not in self.tokens(b"connection")

    def should_upgrade(self) -> bool:
        """Return False: no other protocol is spoken here."""
        return False

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """Return the members of a field that is a list of words, in lower case."""
        values = b",".join(value for known, value in self.headers if known == name)
        return frozenset(word.strip(b" \t").lower() for word in values.split(b","))


class RequestReader:
    """Reads one request after the other. After a refusal it must not be used again.

    `request` is the one that is being read. `begun`: a part of it has arrived, maybe all of it.
    `received` holds the bytes that are not parsed yet.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self._expect_request()

    def _expect_request(self) -> None:
        self.request = Request()
        self._steps = _read(self.received, self.request)
        self.begun = bool(self.received)

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they arrive."""
        self.received += data
        self.begun = True

    def next_request(self) -> Request | None:
        """Return the next request, or None while it is incomplete.

        Raises:
            RequestError: it is malformed or too large. Where the next one begins is unknown.
        """
        request = self.request
        try:
            next(self._steps)
        except StopIteration:
            self._expect_request()
            return request
        except (httptools.HttpParserError, ValueError):
            raise MalformedRequest from None
        return None


def _read(received: bytearray, request: Request) -> Steps:
    parser = httptools.HttpRequestParser(request)
    while not (line := _line(received, _MAX_REQUEST_LINE, UriTooLong)):
        yield
    if line == _EMPTY_LINE:  # RFC 9112 section 2.2: tolerate one empty line before a request
        while not (line := _line(received, _MAX_REQUEST_LINE, UriTooLong)):
            yield
    _parse_request_line(line, request)
    # httptools does not know every method. The method changes nothing about framing.
    parser.feed_data(b"POST" + line[len(request.method) :])
    yield from _fields(received, parser)
    length = _body_length(request)
    if length != 0 and not received and request.http_version == "1.1":
        request.awaits_continue = b"100-continue" in request.tokens(b"expect")
    if length is None:
        yield from _chunks(received, parser, request)
    else:
        yield from _data(received, parser, length)


def _line(received: bytearray, limit: int, too_long: type[RequestError]) -> bytes:
    """Take a line, or return nothing while it is incomplete."""
    end = received.find(b"\n", 0, limit) + 1
    if not end and len(received) >= limit:
        raise too_long
    line = bytes(received[:end])
    del received[:end]
    return line


def _fields(received: bytearray, parser: httptools.HttpRequestParser) -> Steps:
    limit, number, line = MAX_HEADER_BYTES + len(_EMPTY_LINE), 0, b""
    while line != _EMPTY_LINE:
        while not (line := _line(received, limit, HeaderTooLarge)):
            yield
        limit -= len(line)
        number += line != _EMPTY_LINE
        if limit < 0 or number > MAX_HEADER_FIELDS:
            raise HeaderTooLarge
        # httptools leaves out the body of a request with Upgrade, so it sees another name.
        parser.feed_data(b"x-" + line if line[:8].lower() == b"upgrade:" else line)


def _data(received: bytearray, parser: httptools.HttpRequestParser, size: int) -> Steps:
    while size:
        while not received:
            yield
        piece = bytes(received[:size])
        del received[:size]
        size -= len(piece)
        parser.feed_data(piece)


def _chunks(received: bytearray, parser: httptools.HttpRequestParser, request: Request) -> Steps:
    size = -1
    while size:
        while not (line := _line(received, _MAX_CHUNK_LINE, MalformedRequest)):
            yield
        parser.feed_data(line)
        size = int(line, 16)  # refuses chunk extensions; httptools refuses other additions
        if len(request.body) + size > MAX_BODY_BYTES:
            raise BodyTooLarge
        if size:
            yield from _data(received, parser, size + len(_EMPTY_LINE))
    number = len(request.headers)
    yield from _fields(received, parser)
    del request.headers[number:]  # trailer fields, which httptools reports like header fields


def _parse_request_line(line: bytes, request: Request) -> None:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise MalformedRequest
    if len(match[2]) > MAX_TARGET_BYTES:
        raise UriTooLong
    request.method, request.target, request.http_version = match[1], match[2], match[3].decode()


def _body_length(request: Request) -> int | None:
    """Return the size of the body, None for chunks (RFC 9112 sections 3.2 and 6.3).

    Exactly one Host, which HTTP/1.0 may omit; one Content-Length or Transfer-Encoding at most.
    """
    fields = [field for field in request.headers if field[0] in _SOLE]
    values = dict(fields)
    is_old = request.http_version == "1.0"
    host = values.get(b"host", b"" if is_old else None)
    if host is None or not _HOST.fullmatch(host) or len(fields) > len(values):
        raise MalformedRequest
    length, coding = values.get(b"content-length"), values.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or is_old or coding.lower() != b"chunked":
            raise MalformedRequest
        return None
    # httptools has checked the digits; int() refuses thousands of zeros.
    size = int((length or b"").lstrip(b"0") or b"0")
    if size > MAX_BODY_BYTES:
        raise BodyTooLarge
    return size
