"""One request to Authing and its response: limited, uncompressed, labelled, JSON.

This module knows HTTP and JSON, and not what Authing's documents mean.
"""

import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx

from app.authing.documents import loads
from app.authing.result import is_success, raise_for_status
from app.authing.transport import map_client_errors
from app.errors import AuthingBadAnswer
from app.jose.strict_json import JsonValue
from app.sessions.ports import Clock

MAX_BODY = 256 * 1024
_DEFAULT_RETRY_AFTER = 2
_MAX_RETRY_AFTER = 60
_HEADERS = httpx.Headers(
    {"accept": "application/json", "accept-encoding": "identity", "user-agent": "ticketgate"}
)
_parse_url = lru_cache(maxsize=8)(httpx.URL)  # all URLs come from the settings
_JSON = re.compile(r"application/json|[^/\s]+/[^/\s]+\+json")


@dataclass(frozen=True, slots=True)
class Reply:
    """A response that may decide something. An error page has no document: its status decides."""

    status: int
    document: Any = field(repr=False)
    retry_after: int


async def request(
    transport: httpx.AsyncBaseTransport, method: str, url: str, clock: Clock, **content: Any
) -> Reply:
    """Send one request, once, and read the JSON of its response.

    Raises:
        AuthingError: there is no response, or its status or form decides.
    """
    async with send(transport, method, url, **content) as response:
        wait = retry_after(response, clock())
        raise_for_status(response.status_code, retry_after=wait)
        try:
            document = await read_json(response)
        except AuthingBadAnswer:
            if is_success(response.status_code):
                raise
            document = None
        return Reply(response.status_code, document, wait)


@asynccontextmanager
async def send(
    transport: httpx.AsyncBaseTransport,
    method: str,
    url: str,
    *,
    json: JsonValue = None,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[httpx.Response]:
    """Send one request, once; yield the response before its body is read.

    There is no httpx.AsyncClient, because all it adds is unwanted: redirects, cookies, credentials
    and the environment.

    Raises:
        AuthingError: there was no response.
    """
    with map_client_errors():
        request = httpx.Request(
            method,
            _parse_url(url),
            params=params,
            headers={**_HEADERS, **headers} if headers else _HEADERS,
            json=json,
        )
        response = await transport.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()


async def read_json(response: httpx.Response) -> Any:
    """Read the body, at most 256 KiB of it.

    Raises:
        AuthingBadAnswer: compressed, another media type, too large, cut off, or not JSON.
        AuthingUnavailable: the connection broke.
    """
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise AuthingBadAnswer("bad_encoding")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON.fullmatch(media_type):
        raise AuthingBadAnswer("bad_content_type")
    return loads(await _body(response))


def retry_after(response: httpx.Response, now: datetime) -> int:
    """Return the seconds of Retry-After (RFC 9110 section 10.2.3), 1 to 60; 2 by default."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        # The length is checked first, because int() raises for thousands of digits.
        seconds = _MAX_RETRY_AFTER if len(text) > len("3600") else int(text)
    elif text and (instant := http_date(text)) is not None:
        seconds = math.ceil((instant - now).total_seconds())
    else:
        seconds = _DEFAULT_RETRY_AFTER
    return max(1, min(seconds, _MAX_RETRY_AFTER))


def http_date(text: str) -> datetime | None:
    """Read an HTTP date (RFC 9110 section 5.6.7); None if it is not one."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC)  # always GMT (RFC 9110)
    except ValueError:
        return None


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    with map_client_errors():
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BODY:
                raise AuthingBadAnswer("too_large")
    return bytes(body)
