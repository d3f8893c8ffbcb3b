"""The ASGI middleware around every request: request id, safe headers, one log line, early refusals.

It is outermost. So every response has our shape and headers, even after a bug, and the error page
of the server is never sent.
"""

import re
import time
import uuid
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import MEDIA_TYPE, problem_response
from app.errors import InternalError, MalformedRequest, RequestError, TicketgateError
from app.events import Events

REFUSAL = "ticketgate.refusal"
"""The key of `scope["state"]` under which the server puts the RequestError of a refused request."""

_JSON = frozenset({"application/json", MEDIA_TYPE})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CREDENTIALS = frozenset(
    {"ticket", "ext_msg", "access_token", "refresh_token", "id_token", "token", "secret"}
)


class RequestContext:
    """Gives each request an id, adds headers to each response, and records one event for both.

    It sends the refusals of the server, and refuses credentials in the query, which proxies log.
    """

    def __init__(self, app: ASGIApp, events: Events) -> None:
        self._app = app
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
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
            error = _refusal(scope)
            respond = self._app if error is None else problem_response(scope, error)
            await respond(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # the client is gone, so there is no response
        except Exception as bug:
            scope["ticketgate.bug"] = bug
            if status:  # the response has begun: the server closes the connection
                raise
            await problem_response(scope, InternalError())(scope, receive, send_with_headers)
        finally:
            self._record_request(scope, status, time.monotonic() - started)

    def _record_request(self, scope: Scope, status: int, seconds: float) -> None:
        problem: TicketgateError | None = scope.get("ticketgate.problem")
        fields: dict[str, str | int] = {
            "request_id": scope["ticketgate.request_id"],
            "method": scope["method"] if scope["method"] in _METHODS else "other",
            # The template and not the path, because a path may hold personal data.
            "route": getattr(scope.get("route"), "path", "none"),
            "status": status,
            "duration_ms": round(seconds * 1000),
        }
        if problem is not None:
            fields["code"] = problem.code
            for name in ("outcome", "authing_code", "reason"):
                if (value := getattr(problem, name, None)) is not None:
                    fields[name] = value
        self._events.record("request", error=scope.get("ticketgate.bug"), **fields)


def _request_id(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return str(given[0].decode())
    return uuid.uuid4().hex


def _add_headers(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-Id"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")
    if headers.get("Content-Type") in _JSON:
        # JSON has no such parameter, but clients exist that read Latin-1 without it.
        headers["Content-Type"] += "; charset=utf-8"


def _refusal(scope: Scope) -> RequestError | None:
    refused: RequestError | None = scope.get("state", {}).get(REFUSAL)
    if refused is not None:
        return refused
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return MalformedRequest() if _CREDENTIALS & {name.lower() for name, _ in query} else None
