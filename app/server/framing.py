"""The lines of an HTTP/1.x request, read as strictly as RFC 9112 allows, and then some.

Where RFC 9112 lets a recipient choose between tolerating and refusing, this refuses: every
tolerance is a place where a proxy in front may read another request than we do (request
smuggling). Pure functions on bytes; they know neither sockets nor what the requests are for.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from app.errors import BodyTooLarge, MalformedRequest, UriTooLong

Field: TypeAlias = tuple[bytes, bytes]
"""A header field: its name in lower case, and its value without the white space around it."""

CHUNKED: Final = "chunked"
MAX_BODY_BYTES = 8 * 1024
MAX_TARGET_BYTES = 2 * 1024

# Those that both of uvicorn's parsers know. CONNECT is not: it would turn the connection into a
# tunnel. Which of them a path takes is the application's decision.
_METHODS = frozenset(
    b"ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE "
    b"OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH TRACE UNBIND "
    b"UNLINK UNLOCK".split()
)
# Origin form only (RFC 9112 section 3.2.1), in visible ASCII without a fragment.
_REQUEST_LINE = re.compile(rb'([A-Z]+) (/[!"$-~]*) HTTP/1\.([01])')
# No white space before the colon, no fold, and in the value no control character but the tab.
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?")
# No chunk extensions: nobody who speaks to this API has any use for them, and smugglers have.
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")


def request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and minor version.

    Raises:
        MalformedRequest: not `METHOD /path HTTP/1.0` or `HTTP/1.1`.
        UriTooLong: the target has more than 2 KiB.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None or match[1] not in _METHODS:
        raise MalformedRequest
    if len(match[2]) > MAX_TARGET_BYTES:
        raise UriTooLong
    return match[1], match[2], match[3]


def field(line: bytes) -> Field:
    """One header field.

    Raises:
        MalformedRequest: it is not `name: value`, or continues the line before it (obs-fold).
    """
    match = _FIELD.fullmatch(line)
    if match is None:
        raise MalformedRequest
    return match[1].lower(), match[2].strip(b" \t")


def check_host(minor: bytes, fields: Sequence[Field]) -> None:
    """RFC 9112 section 3.2: HTTP/1.1 has one Host; two, or an odd one, nobody may have.

    Raises:
        MalformedRequest: so it is not.
    """
    host = _sole(fields, b"host")
    if host is None and minor == b"0":
        return
    if host is None or not _HOST.fullmatch(host):
        raise MalformedRequest


def body_length(minor: bytes, fields: Sequence[Field]) -> int | Literal["chunked"] | None:
    """How long the body is: a number of bytes, `CHUNKED`, or None without a body.

    RFC 9112 section 6.3, without its tolerance for a length that is repeated or overridden.

    Raises:
        MalformedRequest: the fields leave a doubt.
        BodyTooLarge: more than 8 KiB are announced.
    """
    coding, length = _sole(fields, b"transfer-encoding"), _sole(fields, b"content-length")
    if coding is not None:
        if length is not None or minor == b"0" or coding.lower() != b"chunked":
            raise MalformedRequest
        return CHUNKED
    return None if length is None else _small(length)


def chunk_size(line: bytes) -> int:
    """The size of a chunk; 0 is the last.

    Raises:
        MalformedRequest: it is not a plain hexadecimal number.
    """
    if not _CHUNK_SIZE.fullmatch(line):
        raise MalformedRequest
    return int(line, 16)


def tokens(fields: Sequence[Field], name: bytes) -> frozenset[bytes]:
    """The members of a field that is a list of words, in lower case."""
    values = b",".join(value for known, value in fields if known == name)
    return frozenset(word.strip(b" \t").lower() for word in values.split(b","))


def _sole(fields: Sequence[Field], name: bytes) -> bytes | None:
    values = [value for known, value in fields if known == name]
    if len(values) > 1:
        raise MalformedRequest
    return values[0] if values else None


def _small(digits: bytes) -> int:
    if not digits.isdigit():
        raise MalformedRequest
    # By their number first: int() of thousands of digits raises.
    if len(digits.lstrip(b"0")) > len("8192") or int(digits[-4:]) > MAX_BODY_BYTES:
        raise BodyTooLarge
    return int(digits[-4:])
