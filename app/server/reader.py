"""Makes requests of the bytes of one connection: each whole, or refused while it comes.

Sans-I/O: bytes in, requests out. It never holds more of a request than the limits allow, whatever
is sent and however slowly; time and sockets are somebody else's.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from app.errors import BodyTooLarge, HeaderTooLarge, MalformedRequest, RequestError, UriTooLong
from app.server import framing
from app.server.framing import CHUNKED, MAX_BODY_BYTES, MAX_TARGET_BYTES, Field

MAX_HEADER_BYTES = 16 * 1024
MAX_HEADER_FIELDS = 100
_MAX_REQUEST_LINE = MAX_TARGET_BYTES + len("MKCALENDAR  HTTP/1.1\r\n")
_EMPTY_LINE = len("\r\n")  # as a limit: any other line is longer
_MAX_CHUNK_LINE = 16 + _EMPTY_LINE
# These speak of the connection or frame the body. They have been acted upon.
_SPENT = frozenset(
    {b"connection", b"content-length", b"expect", b"trailer", b"transfer-encoding", b"upgrade"}
)

Steps: TypeAlias = Generator[None, None, bytes]
"""Pauses whenever more bytes are needed; returns what was taken."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has come completely. `body` is None where none was announced."""

    method: bytes
    target: bytes
    minor: bytes
    fields: Sequence[Field]
    body: bytes | None

    def encode(self, *, last: bool) -> bytes:
        """In the one spelling that no parser can misread; `last` if the connection closes after."""
        lines = [b"%b %b HTTP/1.%b" % (self.method, self.target, self.minor)]
        lines += [b"%b: %b" % each for each in self.fields if each[0] not in _SPENT]
        if self.body is not None:
            lines.append(b"content-length: %d" % len(self.body))
        if last or b"close" in framing.tokens(self.fields, b"connection"):
            lines.append(b"connection: close")
        return b"\r\n".join([*lines, b"", self.body or b""])


class RequestReader:
    """Reads one request after the other. After a refusal it must not be asked again.

    `method` and `fields` are what could be read so far of the request under way, for the answer to
    a refusal. `invitation_due`: the client waits for 100 Continue before it sends the body.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._steps = self._request()
        self._clear()

    @property
    def has_begun(self) -> bool:
        """Whether there is a part of a request, which may be all of it."""
        return self._started

    @property
    def held(self) -> int:
        """How many bytes are held that are not yet judged."""
        return len(self._bytes)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._bytes += data
        self._started = True

    def next(self) -> Request | None:
        """The next request, or None while it is not complete.

        Raises:
            RequestError: it will not become a request, and what follows cannot be told from it.
        """
        try:
            next(self._steps)
        except StopIteration as end:
            request: Request = end.value
            self._steps = self._request()
            self._clear()
            return request
        return None

    def close(self) -> None:
        """Let go of what is held.

        Else that is left to the garbage collector, which stops the whole service for a third of a
        second while it looks through thousands of lost connections.
        """
        self._steps.close()
        self._bytes.clear()

    def _clear(self) -> None:
        self.method = b"GET"
        self.fields: list[Field] = []
        self.invitation_due = False
        self._started = bool(self._bytes)

    def _request(self) -> Generator[None, None, Request]:
        line = yield from self._line(_MAX_REQUEST_LINE, UriTooLong)
        if not line:  # RFC 9112 section 2.2: one empty line before a request is forgiven
            line = yield from self._line(_MAX_REQUEST_LINE, UriTooLong)
        self.method, target, minor = framing.request_line(line)
        yield from self._header()
        framing.check_host(minor, self.fields)
        length = framing.body_length(minor, self.fields)
        self.invitation_due = minor == b"1" and length is not None and self._waits()
        body = (yield from self._body(length)) if length is not None else None
        return Request(self.method, target, minor, tuple(self.fields), body)

    def _waits(self) -> bool:
        return not self._bytes and b"100-continue" in framing.tokens(self.fields, b"expect")

    def _header(self) -> Generator[None, None, None]:
        left = MAX_HEADER_BYTES
        while line := (yield from self._line(left + _EMPTY_LINE, HeaderTooLarge)):
            left -= len(line) + _EMPTY_LINE
            if left < 0 or len(self.fields) == MAX_HEADER_FIELDS:
                raise HeaderTooLarge
            self.fields.append(framing.field(line))

    def _body(self, length: int | str) -> Steps:
        if length == CHUNKED:
            return (yield from self._chunks())
        return (yield from self._take(int(length)))

    def _chunks(self) -> Steps:
        body = b""
        while size := framing.chunk_size((yield from self._line(_MAX_CHUNK_LINE))):
            if len(body) + size > MAX_BODY_BYTES:
                raise BodyTooLarge
            body += yield from self._take(size)
            yield from self._line(_EMPTY_LINE)
        yield from self._line(_EMPTY_LINE)  # no trailer fields: nobody here has any
        return body

    def _line(self, limit: int, too_long: type[RequestError] = MalformedRequest) -> Steps:
        searched = 0
        while (end := self._bytes.find(b"\n", searched, limit)) < 0:
            if len(self._bytes) >= limit:
                raise too_long
            searched = len(self._bytes)
            yield
        line = yield from self._take(end + 1)
        if not line.endswith(b"\r\n"):
            raise MalformedRequest
        return line[:-2]

    def _take(self, size: int) -> Steps:
        while len(self._bytes) < size:
            yield
        taken = bytes(self._bytes[:size])
        del self._bytes[:size]
        return taken
