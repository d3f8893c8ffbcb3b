"""One request to Authing and its response: limited, uncompressed, labelled, JSON.

This module knows HTTP and JSON, and not what Authing's documents mean.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from json import dumps
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from app.authing.documents import loads
from app.authing.result import SUCCESS, Reply, raise_for_status
from app.authing.transport import CLIENT_ERRORS, MAX_BODY, Response, Transport, map_client_error
from app.errors import AuthingBadAnswer, AuthingTimeout
from app.jose.strict_json import JsonValue
from app.sessions.ports import Clock

_DEFAULT_RETRY_AFTER = 2
_MAX_RETRY_AFTER = 60
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "ticketgate"}
_JSON = re.compile(r"(?is)\s*(application/json|[^/;\s]+/[^/;\s]+\+json)\s*(;.*)?")


async def request(
    transport: Transport, method: str, url: str, clock: Clock, **content: Any
) -> Reply:
    """Send one request, once, and read its JSON; AuthingError if its status or form decides."""
    response = await send(transport, method, url, **content)
    wait = retry_after(response.headers.get("retry-after", ""), clock)
    raise_for_status(response.status, retry_after=wait)
    try:
        document = read_json(response)
    except AuthingBadAnswer:
        if response.status in SUCCESS:
            raise
        document = None
    return Reply(response.status, document, wait)


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


def retry_after(text: str, clock: Clock) -> int:
    """Return the seconds of Retry-After (RFC 9110 section 10.2.3), 1 to 60; 2 by default."""
    if not text:
        return _DEFAULT_RETRY_AFTER
    if text.isascii() and text.isdigit():
        # The length is checked first, because int() raises for thousands of digits.
        seconds = _MAX_RETRY_AFTER if len(text) > len("3600") else int(text)
    elif (instant := http_date(text)) is not None:
        seconds = math.ceil((instant - clock()).total_seconds())
    else:
        seconds = _DEFAULT_RETRY_AFTER
    return max(1, min(seconds, _MAX_RETRY_AFTER))


def http_date(text: str) -> datetime | None:
    """Read an HTTP date (RFC 9110 section 5.6.7); None if it is not one."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC)  # always GMT (RFC 9110)
    except ValueError:
        return None


class Deadline:
    """Cancels a block after so many seconds. AuthingTimeout takes the place of TimeoutError."""

    def __init__(self, seconds: float) -> None:
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as exc:
            raise AuthingTimeout("deadline") from exc
