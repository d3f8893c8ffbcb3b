"""The ASGI middleware around every request: request id, safe headers, one log line, early refusals.

It is outermost. So every response has our shape and headers, even after a bug, and the error page
of the server is never sent.
"""

import asyncio
import random
import re
import time
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import MEDIA_TYPE, is_authz, problem_response
from app.errors import InternalError, MalformedRequest, RequestError, TicketgateError
from app.events import CONTEXT, Events

REFUSAL = "ticketgate.refusal"
"""The key of `scope["state"]` under which the server puts the RequestError of a refused request."""

_Field: TypeAlias = tuple[bytes, bytes]
# JSON has no such parameter, but clients exist that read Latin-1 without it.
_WITH_CHARSET: dict[_Field, _Field] = {
    (b"content-type", each.encode()): (b"content-type", f"{each}; charset=utf-8".encode())
    for each in ("application/json", MEDIA_TYPE)
}
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_EXPOSED = "X-Request-Id, Retry-After, Location, Idempotency-Replayed, WWW-Authenticate, DPoP-Nonce"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, DPoP, Idempotency-Key, X-Request-Id"
    ),
    "Access-Control-Max-Age": "600",
}
_CREDENTIALS = frozenset(
    {"ticket", "ext_msg", "access_token", "refresh_token", "id_token", "token", "secret"}
)


class RequestContext:
    """Gives each request an id, adds headers to each response, and records one event for both.

    It sends the refusals of the server, and refuses credentials in the query, which proxies log.
    It answers the preflights of `cors_origins`.
    """

    def __init__(self, app: ASGIApp, events: Events, cors_origins: Sequence[str] = ()) -> None:
        self._app = app
        self._events = events
        self._cors_origins = frozenset(cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        scope["ticketgate.request_id"] = request_id = _request_id(scope)
        context = CONTEXT.set({**CONTEXT.get({}), "request_id": request_id})
        origin = Headers(scope=scope).get("origin", "") if self._cors_origins else ""
        started = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _complete(message["headers"], request_id)
                if self._cors_origins:
                    self._add_cors(MutableHeaders(scope=message), origin)
            await send(message)

        try:
            respond = _early_response(scope, preflight=origin in self._cors_origins) or self._app
            await respond(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # the client is gone, so there is no response
        except asyncio.CancelledError:  # the server stops
            if not status:
                problem = problem_response(scope, InternalError("shutdown"))
                await problem(scope, receive, send_with_headers)
        except Exception as bug:
            scope["ticketgate.bug"] = bug
            if status:  # the response has begun: the server closes the connection
                raise
            await problem_response(scope, InternalError())(scope, receive, send_with_headers)
        finally:
            self._record_request(scope, status, time.monotonic() - started)
            CONTEXT.reset(context)

    def _add_cors(self, headers: MutableHeaders, origin: str) -> None:
        """Let pages of CORS_ORIGINS read the response (Fetch standard); never with cookies."""
        headers.add_vary_header("Origin")
        if origin in self._cors_origins:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _EXPOSED

    def _record_request(self, scope: Scope, status: int, seconds: float) -> None:
        problem: TicketgateError | None = scope.get("ticketgate.problem")
        fields: dict[str, str | int] = {
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
    return f"{random.getrandbits(128):032x}"  # it must be unique, not secret


def _complete(headers: list[_Field], request_id: str) -> list[_Field]:
    """Add ours to the fields of a response. All names are in lower case (ASGI)."""
    added = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
    if b"cache-control" not in dict(headers):
        added.append((b"cache-control", b"no-store"))
    return [_WITH_CHARSET.get(field, field) for field in headers] + added


def _early_response(scope: Scope, *, preflight: bool) -> Response | None:
    error = _refusal(scope)
    if error is not None:
        return problem_response(scope, error)
    # To a gateway, 204 would mean that the client's request may pass.
    asks = preflight and scope["method"] == "OPTIONS" and not is_authz(scope["path"])
    if asks and "access-control-request-method" in Headers(scope=scope):
        return Response(status_code=204, headers=_PREFLIGHT)
    return None


def _refusal(scope: Scope) -> RequestError | None:
    refused: RequestError | None = scope.get("state", {}).get(REFUSAL)
    if refused is not None:
        return refused
    # Below /authz it is the query of a request to another service.
    if not scope["query_string"] or scope["path"].startswith("/authz/"):
        return None
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return MalformedRequest() if _CREDENTIALS & {name.lower() for name, _ in query} else None
