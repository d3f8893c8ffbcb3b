"""Reads the requests of one connection: httptools parses the fields, this module limits and checks.

Where RFC 9112 lets a server tolerate or refuse, this refuses: a proxy in front may read the
tolerated request differently (request smuggling). Sizes are checked while bytes arrive. It does not
matter how the network cut the bytes. No I/O, no clock.
"""

import re
from collections.abc import Generator
from functools import lru_cache

import httptools

from app.errors import BodyTooLarge, HeaderTooLarge, MalformedRequest, RequestError, UriTooLong

MAX_TARGET_BYTES = 2 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADER_FIELDS = 100
MAX_BODY_BYTES = 8 * 1024
_MAX_BODY_OF = {b"/webhooks/authing": 64 * 1024}
"""Authing puts whole user records into its webhook."""
_MAX_ORIGINAL_BYTES = 8 * 1024
_MAX_METHOD_BYTES = 32
_EMPTY_LINE = b"\r\n"
_BAD_LINE_END = re.compile(rb"\n(?:[ \t]|(?<!\r\n))")
"""Before a folded field, or a bare LF."""
_BODY_STAYS_UNREAD = re.compile(rb"/authz(?:[/?].*)?")
_MAX_CHUNK_LINE = 16 + len(_EMPTY_LINE)

_SOLE = frozenset({b"host", b"content-length", b"transfer-encoding"})
# Any method, but only the origin form of a target (RFC 9112 section 3.2.1), without a fragment.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[!\"$-~]*) HTTP/(1\.[01])")
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t -~\x80-\xff]*")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
# The host of RFC 3986 section 3.2.2, which may be empty, and a port.
_HOST = re.compile(
    rb"(\[[0-9A-Za-z:._~!$&'()*+,;=-]+\]|([0-9A-Za-z._~!$&'()*+,;=-]++|%[0-9A-Fa-f]{2})*+)(:[0-9]*)?"
)
_is_host = lru_cache(_HOST.fullmatch)  # most requests have one of few hosts


class Request:
    """One request, or the part of it that was read.

    `headers` holds names in lower case and values without white space around them.
    `awaits_continue`: the client waits for 100 Continue before it sends the body. `is_last`: its
    body is not read, so no other request can follow on this connection.
    """

    method, target, http_version = b"GET", b"/", "1.1"
    body = b""
    awaits_continue = is_last = False

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self._words: set[tuple[bytes, bytes]] = set()  # with the names of their fields

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a field; called by httptools."""
        name, value = name.lower(), value.rstrip(b" \t")
        self.headers.append((name, value))
        if name in {b"connection", b"expect"}:
            self._words |= {(name, word.strip(b" \t")) for word in value.lower().split(b",")}

    @property
    def keeps_alive(self) -> bool:
        """Whether the client lets the connection be kept (RFC 9112 section 9.3)."""
        return self.http_version == "1.1" and (b"connection", b"close") not in self._words

    @property
    def expects_continue(self) -> bool:
        """Whether the client may wait for 100 Continue (RFC 9110 section 10.1.1)."""
        return self.http_version == "1.1" and (b"expect", b"100-continue") in self._words


class RequestReader:
    """Reads one request after the other. After a refusal it must not be used again.

    `request` is the one that is being read. `received` holds the bytes that are not parsed yet.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self._expect_request()

    def _expect_request(self) -> None:
        self.request = Request()
        self._body: Generator[None, None, bytes] | None = None
        self._tolerates_empty_line = True

    @property
    def begun(self) -> bool:
        """Whether a part of the request has arrived, maybe all of it.

        The empty line that some clients send after a body is no part of it (RFC 9112 section 2.2).
        """
        if not self.received or self._body is not None:
            return self._body is not None
        return not self._tolerates_empty_line or self.received not in (b"\r", _EMPTY_LINE)

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they arrive."""
        self.received += data

    def next_request(self) -> Request | None:
        """Return the next request, or None while it is incomplete.

        After a RequestError it is unknown where the next one begins.
        """
        if self._body is None:
            head = self._take_head()
            if head is None:
                return None
            _parse_head(head, self.request)
            length = _body_length(self.request)
            if _BODY_STAYS_UNREAD.fullmatch(self.request.target):
                self.request.is_last = length != 0
                length = 0
            limit = _MAX_BODY_OF.get(self.request.target, MAX_BODY_BYTES)
            if length is not None and length > limit:
                raise BodyTooLarge
            if length == 0:
                return self._complete(b"")
            self.request.awaits_continue = not self.received and self.request.expects_continue
            body = _chunks(self.received, limit) if length is None else _take(self.received, length)
            self._body = body
        try:
            next(self._body)
        except StopIteration as complete:
            return self._complete(complete.value)
        return None

    def _complete(self, body: bytes) -> Request:
        request = self.request
        request.body = body
        self._expect_request()
        return request

    def _take_head(self) -> bytes | None:
        received = self.received
        if self._tolerates_empty_line and received.startswith(_EMPTY_LINE):
            del received[:2]  # RFC 9112 section 2.2: tolerate one empty line before a request
            self._tolerates_empty_line = False
        at = received.find(b"\r\n\r\n")
        complete, end = at >= 0, at + 4
        head = bytes(received[:end] if complete else received)
        _check_sizes(head)
        if _BAD_LINE_END.search(head):
            raise MalformedRequest
        if not complete:
            if b"\n" in head:  # refuse a bad request line before the fields arrive
                _parse_request_line(head.partition(_EMPTY_LINE)[0], self.request)
            return None
        del received[:end]
        return head


def _check_sizes(head: bytes) -> None:
    line_end = head.find(b"\n") + 1
    line = line_end or len(head)
    if line > MAX_TARGET_BYTES and line > _max_target(head) + _MAX_METHOD_BYTES:
        raise UriTooLong
    size = len(head) - line_end - len(_EMPTY_LINE) if line_end else 0
    fields = head.count(b"\n") - 2  # without the request line and the empty line
    if size > MAX_HEADER_BYTES or fields > MAX_HEADER_FIELDS:
        raise HeaderTooLarge


def _max_target(line: bytes) -> int:
    """The limit of a target. A gateway may append the one of its own request to `/authz`."""
    below = line.find(b" /authz/", 0, _MAX_METHOD_BYTES) > 0
    return _MAX_ORIGINAL_BYTES if below else MAX_TARGET_BYTES


def _parse_head(head: bytes, request: Request) -> None:
    line, _, fields = head.partition(_EMPTY_LINE)
    _parse_request_line(line, request)
    try:
        # A parser for each head: it never sees a body or a second request. httptools does not know
        # every method; the method changes nothing about the fields.
        httptools.HttpRequestParser(request).feed_data(b"POST / HTTP/1.1\r\n" + fields)
    except httptools.HttpParserUpgrade:
        pass  # no other protocol is spoken here
    except httptools.HttpParserError:
        raise MalformedRequest from None


def _take(received: bytearray, size: int) -> Generator[None, None, bytes]:
    """Return `size` bytes. Like the generators below, yield while more bytes are needed."""
    while len(received) < size:
        yield
    taken = bytes(received[:size])
    del received[:size]
    return taken


def _line(
    received: bytearray, limit: int, too_long: type[RequestError] = MalformedRequest
) -> Generator[None, None, bytes]:
    while (end := received.find(b"\n", 0, limit) + 1) == 0:
        if len(received) >= limit:
            raise too_long
        yield
    line = yield from _take(received, end)
    if not line.endswith(_EMPTY_LINE):
        raise MalformedRequest
    return line[:-2]


def _chunks(received: bytearray, limit: int) -> Generator[None, None, bytes]:
    """RFC 9112 section 7.1, without chunk extensions. Trailer fields are checked and discarded."""
    body = b""
    while size := _chunk_size((yield from _line(received, _MAX_CHUNK_LINE))):
        if len(body) + size > limit:
            raise BodyTooLarge
        body += yield from _take(received, size)
        if (yield from _take(received, 2)) != _EMPTY_LINE:
            raise MalformedRequest
    left = MAX_HEADER_BYTES + len(_EMPTY_LINE)
    while line := (yield from _line(received, left, HeaderTooLarge)):
        left -= len(line) + len(_EMPTY_LINE)
        field = _TRAILER.fullmatch(line)
        if field is None or field[1].lower() in _SOLE:
            raise MalformedRequest
    return body


def _chunk_size(line: bytes) -> int:
    if not _CHUNK_SIZE.fullmatch(line):
        raise MalformedRequest
    return int(line, 16)


def _parse_request_line(line: bytes, request: Request) -> None:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise MalformedRequest
    if len(match[2]) > _max_target(line):
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
    if host is None or not _is_host(host) or len(fields) > len(values):
        raise MalformedRequest
    length, coding = values.get(b"content-length"), values.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or is_old or coding.lower() != b"chunked":
            raise MalformedRequest
        return None
    # httptools has checked the digits; int() refuses thousands of zeros.
    return int((length or b"").lstrip(b"0") or b"0")
