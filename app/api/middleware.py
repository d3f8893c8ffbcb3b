"""What surrounds every request, as pure ASGI: identity, safe headers, one log line, limits.

Outermost stands `RequestScope`, so that whatever happens inside, the answer has our shape and our
headers, and nothing reaches the server's own error page.
"""

import re
import time
import uuid
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.errors import (
    BodyTooLarge,
    HeaderTooLarge,
    InternalError,
    MalformedRequest,
    RequestError,
    TicketgateError,
    UriTooLong,
)

MAX_BODY_BYTES = 8 * 1024
MAX_TARGET_BYTES = 2 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADER_FIELDS = 100
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CREDENTIALS = frozenset(
    {"ticket", "ext_msg", "access_token", "refresh_token", "id_token", "token", "secret"}
)


class Log(Protocol):
    """Records one event with labels from the log's closed set."""

    def __call__(self, event: str, *, error: Exception | None = None, **fields: str | int) -> None:
        """Record the event; `error` is a bug that caused it."""
        ...


class RequestScope:
    """Gives each request its id, each answer its headers, and each pair one line in the log."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["ticketgate.request_id"] = request_id = _request_id(scope)
        started = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # there is nobody to answer
        except Exception as error:
            scope["ticketgate.bug"] = error
            if status:  # too late for another answer: the server cuts the connection
                raise
            await problem_response(scope, InternalError())(scope, receive, send_with_headers)
        finally:
            self._log_request(scope, status, time.monotonic() - started)

    def _log_request(self, scope: Scope, status: int, seconds: float) -> None:
        problem: TicketgateError | None = scope.get("ticketgate.problem")
        fields: dict[str, str | int] = {
            "request_id": scope["ticketgate.request_id"],
            "method": scope["method"] if scope["method"] in _METHODS else "other",
            # The template, not the path: what stands in a path may be somebody's.
            "route": getattr(scope.get("route"), "path", "none"),
            "status": status,
            "duration_ms": round(seconds * 1000),
        }
        if problem is not None:
            fields["code"] = problem.code
            for name in ("outcome", "authing_code", "reason"):
                if hasattr(problem, name):
                    fields[name] = getattr(problem, name)
        self._log("request", error=scope.get("ticketgate.bug"), **fields)


class RequestLimits:
    """Refuses what is too long, and credentials where every proxy would log them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of ASGI."""
        error = _broken_limit(scope) if scope["type"] == "http" else None
        answer = self._app if error is None else problem_response(scope, error)
        await answer(scope, receive, send)


def _request_id(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return str(given[0].decode())
    return uuid.uuid4().hex


def _add_headers(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-Id"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")


def _is_small(length: bytes) -> bool:
    # By digits first: int() of thousands of them raises.
    return length.isdigit() and len(length) <= len("8192") and int(length) <= MAX_BODY_BYTES


def _broken_limit(scope: Scope) -> RequestError | None:
    query: bytes = scope["query_string"]
    target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
    if len(target) > MAX_TARGET_BYTES:
        return UriTooLong()
    fields = scope["headers"]
    # As on the wire: name, ": ", value, CRLF.
    size = sum(len(name) + len(value) + 4 for name, value in fields)
    if len(fields) > MAX_HEADER_FIELDS or size > MAX_HEADER_BYTES:
        return HeaderTooLarge()
    # Refused before a route runs, and before the phone is asked for the body. A body that does not
    # tell its length is stopped by the route while it comes.
    lengths = [value for name, value in fields if name == b"content-length"]
    if any(not _is_small(length) for length in lengths):
        return BodyTooLarge()
    names = {name.lower() for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
    return MalformedRequest() if names & _CREDENTIALS else None
