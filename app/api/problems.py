"""How an error looks over HTTP: RFC 9457 documents, made from one table.

The only place where a code meets a status. The framework's own errors come through here too, so
there is one shape; what is in it is fixed text and closed words, never the input.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Scope

from app import errors
from app.api.messages import preferred_language, text
from app.errors import FieldError, TicketgateError

MEDIA_TYPE = "application/problem+json"
ClientAction: TypeAlias = Literal[
    "retry", "retry_after", "refresh", "relaunch_wechat", "contact_support", "none"
]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the contract's table: status, what the app does, and is its session alive.

    `session_alive` is None where the answer says nothing about a session.
    """

    status: int
    client_action: ClientAction
    session_alive: bool | Literal["unknown"] | None = None


TABLE: Mapping[type[TicketgateError], Row] = {
    errors.MalformedRequest: Row(400, "none"),
    errors.InvalidRequest: Row(422, "none"),
    errors.IdempotencyKeyMismatch: Row(422, "none"),
    errors.NotFound: Row(404, "none"),
    errors.MethodNotAllowed: Row(405, "none"),
    errors.BodyTooLarge: Row(413, "none"),
    errors.UriTooLong: Row(414, "none"),
    errors.HeaderTooLarge: Row(431, "none"),
    errors.UnsupportedMediaType: Row(415, "none"),
    errors.LoginCancelled: Row(400, "none"),
    errors.ExtMsgUnsupported: Row(400, "none"),
    errors.TicketRejected: Row(400, "relaunch_wechat"),
    errors.TicketUsed: Row(400, "relaunch_wechat"),
    errors.AccountBlocked: Row(403, "contact_support"),
    errors.UserBanned: Row(403, "contact_support"),
    errors.LoginInProgress: Row(409, "retry_after"),
    errors.RateLimited: Row(429, "retry_after", session_alive="unknown"),
    errors.AuthingUnavailable: Row(503, "retry_after"),
    errors.AuthingTimeout: Row(503, "retry_after"),
    errors.AuthingOverloaded: Row(503, "retry_after"),
    errors.AuthingMisconfigured: Row(503, "contact_support"),
    errors.AuthingBadAnswer: Row(502, "retry"),
    errors.AuthingTokenInvalid: Row(502, "contact_support"),
    errors.AuthingUntrusted: Row(502, "contact_support"),
    errors.RefreshTokenInvalid: Row(400, "relaunch_wechat", session_alive=False),
    errors.RefreshSessionEnded: Row(400, "relaunch_wechat", session_alive=False),
    errors.AccessTokenMissing: Row(401, "none", session_alive="unknown"),
    errors.AccessTokenInvalid: Row(401, "refresh", session_alive="unknown"),
    errors.AccessTokenExpired: Row(401, "refresh", session_alive="unknown"),
    errors.AccessSessionEnded: Row(401, "relaunch_wechat", session_alive=False),
    errors.StoreUnavailable: Row(503, "retry_after", session_alive="unknown"),
    errors.InternalError: Row(500, "retry", session_alive="unknown"),
}
METHOD_NOT_ALLOWED = 405
TEMPORARY = frozenset({409, 429, 503})
_OF_FRAMEWORK: Mapping[int, type[TicketgateError]] = {
    404: errors.NotFound,
}


def problem_response(scope: Scope, error: TicketgateError) -> JSONResponse:
    """The answer for an error, in the language of the request."""
    row = TABLE[type(error)]
    scope["ticketgate.problem"] = error  # for the log line of this request
    headers = Headers(scope=scope)
    language = preferred_language(",".join(headers.getlist("accept-language")))
    body = _body(error, row, language) | {
        "instance": f"urn:ticketgate:request:{scope['ticketgate.request_id']}",
        "request_id": scope["ticketgate.request_id"],
    }
    extra = {"Content-Language": language, "Vary": "Accept-Language"} | _headers(error, row)
    return JSONResponse(body, row.status, extra, media_type=MEDIA_TYPE)


def _body(error: TicketgateError, row: Row, language: Literal["en", "zh"]) -> dict[str, Any]:
    title, detail = text(error.code, language)
    body: dict[str, Any] = {
        "type": f"urn:ticketgate:error:{error.code}",
        "title": title,
        "status": row.status,
        "detail": detail,
        "code": error.code,
        "client_action": row.client_action,
    }
    if row.session_alive is not None:
        body["session_alive"] = row.session_alive
    if (retry_after := _retry_after(error, row)) is not None:
        body["retry_after"] = retry_after
    if isinstance(error, errors.EndedSession):
        body["reason"] = error.reason
        if error.replaced_by is not None:
            body["replaced_by"] = error.replaced_by
    if isinstance(error, errors.UserBanned) and error.until is not None:
        body["until"] = int(error.until.timestamp())
    if isinstance(error, errors.InvalidRequest):
        body["errors"] = [{"pointer": e.pointer, "message": e.message} for e in error.errors]
    return body


def _headers(error: TicketgateError, row: Row) -> dict[str, str]:
    headers = {}
    if (retry_after := _retry_after(error, row)) is not None:
        headers["Retry-After"] = str(retry_after)
    if isinstance(error, errors.AccessTokenMissing):
        headers["WWW-Authenticate"] = 'Bearer realm="ticketgate"'
    elif isinstance(error, errors.AccessRefused):
        headers["WWW-Authenticate"] = 'Bearer realm="ticketgate", error="invalid_token"'
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, errors.BodyTooLarge):
        headers["Connection"] = "close"
    return headers


def _retry_after(error: TicketgateError, row: Row) -> int | None:
    return getattr(error, "retry_after", None) if row.status in TEMPORARY else None


# --- translating what the framework raises ---


async def answer_error(request: Request, error: TicketgateError) -> JSONResponse:
    """Exception handler for our own errors."""
    return problem_response(request.scope, error)


async def answer_validation(request: Request, error: RequestValidationError) -> JSONResponse:
    """Exception handler for pydantic's verdict: which fields, never their values."""
    fields = [
        FieldError(_pointer(each["loc"]), each["msg"].removeprefix("Value error, "))
        for each in error.errors()
    ]
    return problem_response(request.scope, errors.InvalidRequest(fields))


async def answer_framework(request: Request, error: HTTPException) -> JSONResponse:
    """Exception handler for what routing raises."""
    if error.status_code == METHOD_NOT_ALLOWED:
        return problem_response(request.scope, errors.MethodNotAllowed(_allowed(request)))
    kind = _OF_FRAMEWORK.get(error.status_code, errors.InternalError)
    return problem_response(request.scope, kind())


def _allowed(request: Request) -> list[str]:
    # The router names only the methods of the first route of this path; RFC 9110 wants all.
    methods: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return sorted(methods)


def _pointer(location: tuple[str | int, ...]) -> str:
    place, *path = location
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return ("" if place == "body" else str(place)) + "".join(f"/{step}" for step in steps)
