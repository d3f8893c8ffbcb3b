"""What surrounds every request: its id, early refusals, safe headers, one log line.

It is outermost. So every response has our shape and headers, even after a bug, and the error page
of the server is never sent.
"""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.problems import MEDIA_TYPE, is_authz, problem_response
from app.errors import InternalError, MalformedRequest, RequestError, TicketgateError
from app.events import CONTEXT, Events

REFUSAL = "ticketgate.refusal"
"""The key of `scope["state"]` under which the server puts the RequestError of a refused request."""

Respond: TypeAlias = Callable[[Request], Awaitable[Response]]
"""Makes the response to a request, or raises. Each response is a new object."""
# JSON has no such parameter, but clients exist that read Latin-1 without it.
_WITHOUT_CHARSET = frozenset({b"application/json", MEDIA_TYPE.encode()})
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
    """The ASGI application around `respond`, which makes the response to a request or raises.

    It gives each request an id, adds headers to each response, and records one event for both. It
    sends the refusals of the server, and refuses credentials in the query, which proxies log. It
    answers the preflights of `cors_origins`.
    """

    def __init__(self, respond: Respond, events: Events, cors_origins: Sequence[str] = ()) -> None:
        self._respond = respond
        self._events = events
        self._cors_origins = frozenset(cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = time.monotonic()
        request = Request(scope, receive)
        scope["ticketgate.request_id"] = request_id = _request_id(scope)
        context = CONTEXT.set({**CONTEXT.get({}), "request_id": request_id})
        status = 0
        try:
            response = await self._response_to(request)
            status = response.status_code
            self._add_headers(response, request)
            await response(scope, receive, send)
        except (ClientDisconnect, asyncio.CancelledError):
            pass  # the client is gone, or the server stops while the response is sent
        except Exception as bug:
            scope["ticketgate.bug"] = bug
            raise  # the response has begun: the server closes the connection
        finally:
            self._record(scope, status, time.monotonic() - started)
            CONTEXT.reset(context)

    async def _response_to(self, request: Request) -> Response:
        scope = request.scope
        error: TicketgateError | None = _refusal(scope)
        try:
            if error is None:
                if self._cors_origins and self._is_preflight(request):
                    return Response(status_code=204, headers=_PREFLIGHT)
                return await self._respond(request)
        except TicketgateError as raised:
            error = raised
        except asyncio.CancelledError:
            error = InternalError("shutdown")
        except ClientDisconnect:
            raise
        except Exception as bug:  # noqa: BLE001  # recorded, and answered as every other error
            scope["ticketgate.bug"] = bug
            error = InternalError()
        return problem_response(scope, error)

    def _is_preflight(self, request: Request) -> bool:
        """Whether a page of CORS_ORIGINS asks what it may send (Fetch standard)."""
        return (
            request.method == "OPTIONS"
            and not is_authz(request.scope["path"])  # to a gateway, 204 would mean "may pass"
            and request.headers.get("origin") in self._cors_origins
            and "access-control-request-method" in request.headers
        )

    def _add_headers(self, response: Response, request: Request) -> None:
        added, known = response.raw_headers, dict(response.raw_headers)
        if known.get(b"content-type") in _WITHOUT_CHARSET:
            response.headers["Content-Type"] += "; charset=utf-8"
        if b"cache-control" not in known:
            added.append((b"cache-control", b"no-store"))
        added.append((b"x-content-type-options", b"nosniff"))
        added.append((b"x-request-id", request.scope["ticketgate.request_id"].encode()))
        if self._cors_origins:  # pages may read the response, but never with cookies
            origin = request.headers.get("origin", "")
            response.headers.add_vary_header("Origin")
            if origin in self._cors_origins:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = _EXPOSED

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"]
        fields: dict[str, str | int] = {
            "method": method if method in _METHODS else "other",
            # The template and not the path, because a path may hold personal data.
            "route": scope["route"].path if "route" in scope else "none",
            "status": status,
            "duration_ms": round(seconds * 1000),
        }
        problem: TicketgateError | None = scope.get("ticketgate.problem")
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
    return random.getrandbits(128).to_bytes(16).hex()  # it must be unique, not secret


def _refusal(scope: Scope) -> RequestError | None:
    refused: RequestError | None = scope.get("state", {}).get(REFUSAL)
    if refused is not None:
        return refused
    # Below /authz it is the query of a request to another service.
    if not scope["query_string"] or scope["path"].startswith("/authz/"):
        return None
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return MalformedRequest() if _CREDENTIALS & {name.lower() for name, _ in query} else None
