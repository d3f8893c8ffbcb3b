"""Every foreign failure on the wire, map_client_errors once into our errors.

Knows the exceptions of httpx, of aiohttp below it, and of the operating system; nothing of what
was asked. No text of a foreign exception is kept in ours.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal, TypeAlias

import aiohttp
import httpx

from app.errors import (
    AuthingBadAnswer,
    AuthingError,
    AuthingTimeout,
    AuthingUnavailable,
    AuthingUntrusted,
)

Outcome: TypeAlias = Literal[
    "dns",
    "connect_refused",
    "connect_timeout",
    "tls",
    "reset",
    "deadline",
    "http_5xx",
    "rate_limited",
    "auth_config",
    "redirect",
    "bad_status",
    "bad_framing",
    "bad_encoding",
    "bad_content_type",
    "too_large",
    "bad_json",
    "bad_shape",
    "bad_token",
    "jwks_unavailable",
    "bulkhead",
    "breaker_open",
]
"""The words that an AuthingError of this package may carry as its `outcome`."""

_FOREIGN = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, UnicodeError)

# The first row that fits decides. The aiohttp classes are the truth: httpx_aiohttp shows a server
# that hangs up as a connect timeout, and lets some errors through as they are.
_ERROR_MAP: tuple[tuple[tuple[type[Exception], ...], type[AuthingError], Outcome], ...] = (
    (
        (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError),
        AuthingUntrusted,
        "tls",
    ),
    ((aiohttp.ClientConnectorDNSError,), AuthingUnavailable, "dns"),
    ((aiohttp.ConnectionTimeoutError,), AuthingUnavailable, "connect_timeout"),
    ((aiohttp.ClientConnectorError,), AuthingUnavailable, "connect_refused"),
    (
        (aiohttp.ClientConnectionError, OSError, httpx.NetworkError, httpx.TimeoutException),
        AuthingUnavailable,
        "reset",
    ),
    # What is left was sent by the peer and is not HTTP.
    ((Exception,), AuthingBadAnswer, "bad_framing"),
)


@contextmanager
def map_client_errors() -> Iterator[None]:
    """Let nothing but our own errors out of the block that talks to Authing.

    Raises:
        AuthingError: in place of whatever the HTTP client or the system raised.
    """
    try:
        yield
    except _FOREIGN as exc:
        error = map_client_error(exc)
        # A complaint about framing quotes the answer, and that may hold a token.
        raise error from (None if isinstance(error, AuthingBadAnswer) else exc)


def map_client_error(exc: Exception) -> AuthingError:
    """Say what a foreign exception means for the login."""
    cause = exc.__cause__
    origin = cause if isinstance(cause, (aiohttp.ClientError, OSError)) else exc
    return next(error(outcome) for kinds, error, outcome in _ERROR_MAP if isinstance(origin, kinds))


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Cancel the block when it takes longer than this, whatever it is waiting for.

    Raises:
        AuthingTimeout: the time is up.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as exc:
        raise AuthingTimeout("deadline") from exc
