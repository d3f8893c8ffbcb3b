"""One request to Authing and its response: limited, uncompressed, labelled, JSON.

This module knows HTTP and JSON, and not what Authing's documents mean.

A field that decides nothing never makes a document unreadable. Profiles hold what JavaScript and
users put there: half of an emoji, integers past 2^53, a name twice. A value that JSON readers
disagree about becomes AMBIGUOUS. `decisive` refuses it; a reader of a claim sees a value of no
known type.
"""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from json import dumps
from typing import Any
from urllib.parse import urlencode

from app.authing.transport import CLIENT_ERRORS, MAX_BODY, Response, Transport, map_client_error
from app.errors import AuthingBadAnswer, AuthingTimeout, AuthingUnavailable
from app.jose.strict_json import JsonValue, decoder, is_deeper

SUCCESS = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
MAX_DEPTH = 64  # maximum nesting of a document; each JSON string inside counts from zero
_DEFAULT_RETRY_AFTER = 2
_MAX_RETRY_AFTER = 60
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "ticketgate"}
_JSON = re.compile(r"(?is)\s*(application/json|[^/;\s]+/[^/;\s]+\+json)\s*(;.*)?")
AMBIGUOUS: Any = object()
"""In place of a member that occurs twice, or a number that a double cannot hold."""
_DECODER = decoder(lambda: AMBIGUOUS, strict=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response that may decide something. An error page has no document: its status decides."""

    status: int
    document: Any = field(repr=False)
    retry_after: int

    @property
    def members(self) -> Mapping[str, Any]:
        """The document, if it is an object; else none."""
        return self.document if isinstance(self.document, dict) else {}


async def request(transport: Transport, method: str, url: str, **content: Any) -> Reply:
    """Send one request, once, and read its JSON; AuthingError if its status or form decides.

    A redirect is not followed, because the secret is not sent to another place.
    """
    response = await send(transport, method, url, **content)
    status, wait = response.status, _retry_after(response.headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise AuthingUnavailable("rate_limited", retry_after=wait)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise AuthingUnavailable("http_5xx", retry_after=wait)
    match status // 100:
        case 5:
            raise AuthingUnavailable("http_5xx")
        case 3:
            raise AuthingBadAnswer("redirect")
    try:
        return Reply(status, read_json(response), wait)
    except AuthingBadAnswer:
        if status in SUCCESS:
            raise
        return Reply(status, None, wait)


async def send(
    transport: Transport,
    method: str,
    url: str,
    *,
    json: JsonValue = None,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send one request, once; raise AuthingError if there is no response."""
    fields = {**_HEADERS, **(headers or {})}
    body = b""
    if json is not None:
        fields["content-type"] = "application/json"
        body = dumps(json).encode()
    if params:
        url = f"{url}?{urlencode(params)}"
    try:
        return await transport.send(method, url, fields, body)
    except CLIENT_ERRORS as exc:
        error = map_client_error(exc)
        # A framing error quotes the response, which may hold a token: it is not chained.
        raise error from (None if isinstance(error, AuthingBadAnswer) else exc)


def read_json(response: Response) -> Any:
    """Decode the body, or raise AuthingBadAnswer: compressed, another type, too large, not JSON."""
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise AuthingBadAnswer("bad_encoding")
    if not _JSON.fullmatch(response.headers.get("content-type", "")):
        raise AuthingBadAnswer("bad_content_type")
    if len(response.body) > MAX_BODY:
        raise AuthingBadAnswer("too_large")
    return loads(response.body)


def loads(document: bytes | str) -> Any:
    """Decode JSON (RFC 8259) of a limited size. Lone surrogates and controls may occur."""
    try:
        text = document.decode() if isinstance(document, bytes) else document
        value = _DECODER.decode(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        # From None, because both errors hold the document.
        raise AuthingBadAnswer("bad_json") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and is_deeper(value, MAX_DEPTH):
        raise AuthingBadAnswer("bad_json")
    return value


def decisive(members: Mapping[str, Any], name: str) -> Any:
    """Return a member that decides, or None; AuthingBadAnswer if JSON readers disagree about it."""
    value = members.get(name)
    if value is AMBIGUOUS:
        raise AuthingBadAnswer("bad_json")
    return value


def _retry_after(headers: Mapping[str, str]) -> int:
    """Return the seconds of Retry-After (RFC 9110 section 10.2.3), 1 to 60; 2 by default."""
    text = headers.get("retry-after", str(_DEFAULT_RETRY_AFTER))
    if text.isascii() and text.isdigit():
        # The length is checked first, because int() raises for thousands of digits.
        seconds = _MAX_RETRY_AFTER if len(text) > len("3600") else int(text)
    elif (instant := http_date(text)) is not None:
        sent_at = http_date(headers.get("date", "")) or datetime.now(UTC)
        seconds = math.ceil((instant - sent_at).total_seconds())
    else:
        seconds = _DEFAULT_RETRY_AFTER
    return max(1, min(seconds, _MAX_RETRY_AFTER))


def http_date(text: str) -> datetime | None:
    """Read an HTTP date (RFC 9110 section 5.6.7); None if it is not one."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC)  # always GMT (RFC 9110)
    except ValueError:
        return None


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Cancel the block after so many seconds, with AuthingTimeout instead of TimeoutError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as exc:
        raise AuthingTimeout("deadline") from exc
