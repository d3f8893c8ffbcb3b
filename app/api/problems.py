"""Errors over HTTP: RFC 9457 problem documents, made from one table.

Only this module maps codes to statuses. A document holds fixed texts and closed words, never the
input.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Literal, TypeAlias

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Scope

from app import errors
from app.errors import InternalError, TicketgateError

MEDIA_TYPE = "application/problem+json"
Language: TypeAlias = Literal["en", "zh"]
ClientAction: TypeAlias = Literal[
    "retry", "retry_after", "refresh", "relaunch_wechat", "contact_support", "none"
]


@dataclass(frozen=True, slots=True)
class ProblemSpec:
    """Status, what the app should do, and whether its session is alive; None if it is not said."""

    status: int
    client_action: ClientAction
    session_alive: bool | Literal["unknown"] | None = None


PROBLEMS: Mapping[type[TicketgateError], ProblemSpec] = {
    errors.MalformedRequest: ProblemSpec(400, "none"),
    errors.InvalidRequest: ProblemSpec(422, "none"),
    errors.IdempotencyKeyMismatch: ProblemSpec(422, "none"),
    errors.NotFound: ProblemSpec(404, "none"),
    errors.MethodNotAllowed: ProblemSpec(405, "none"),
    errors.BodyTooLarge: ProblemSpec(413, "none"),
    errors.UriTooLong: ProblemSpec(414, "none"),
    errors.HeaderTooLarge: ProblemSpec(431, "none"),
    errors.UnsupportedMediaType: ProblemSpec(415, "none"),
    errors.LoginCancelled: ProblemSpec(400, "none"),
    errors.ExtMsgUnsupported: ProblemSpec(400, "none"),
    errors.TicketRejected: ProblemSpec(400, "relaunch_wechat"),
    errors.TicketUsed: ProblemSpec(400, "relaunch_wechat"),
    errors.AccountBlocked: ProblemSpec(403, "contact_support"),
    errors.UserBanned: ProblemSpec(403, "contact_support"),
    errors.LoginInProgress: ProblemSpec(409, "retry_after"),
    errors.RateLimited: ProblemSpec(429, "retry_after", session_alive="unknown"),
    errors.AuthingUnavailable: ProblemSpec(503, "retry_after"),
    errors.AuthingTimeout: ProblemSpec(503, "retry_after"),
    errors.AuthingOverloaded: ProblemSpec(503, "retry_after"),
    errors.AuthingMisconfigured: ProblemSpec(503, "contact_support"),
    errors.AuthingBadAnswer: ProblemSpec(502, "retry"),
    errors.AuthingTokenInvalid: ProblemSpec(502, "contact_support"),
    errors.AuthingUntrusted: ProblemSpec(502, "contact_support"),
    errors.RefreshTokenInvalid: ProblemSpec(400, "relaunch_wechat", session_alive=False),
    errors.RefreshSessionEnded: ProblemSpec(400, "relaunch_wechat", session_alive=False),
    errors.ProofRequired: ProblemSpec(400, "retry", session_alive=True),
    errors.ProofInvalid: ProblemSpec(400, "retry", session_alive=True),
    errors.AccessTokenMissing: ProblemSpec(401, "none", session_alive="unknown"),
    errors.AccessTokenInvalid: ProblemSpec(401, "refresh", session_alive="unknown"),
    errors.AccessTokenExpired: ProblemSpec(401, "refresh", session_alive="unknown"),
    errors.AccessSessionEnded: ProblemSpec(401, "relaunch_wechat", session_alive=False),
    errors.ServiceKeyInvalid: ProblemSpec(401, "none"),
    errors.StoreUnavailable: ProblemSpec(503, "retry_after", session_alive="unknown"),
    InternalError: ProblemSpec(500, "retry", session_alive="unknown"),
}
TEMPORARY = frozenset({409, 429, 503})
_RANGE = re.compile(
    # Locales of phones are sent as well: zh_CN, zh_CN.UTF-8, zh_CN_#Hans.
    r"(?P<language>[a-z]{1,8})([-_.@#]+[a-z0-9]{1,8})*"
    r"([ \t]*;[ \t]*q=(?P<weight>0(\.[0-9]{0,3})?|1(\.0{0,3})?))?"
)
MESSAGES: Mapping[str, Mapping[Language, tuple[str, str]]] = tomllib.loads(
    files(__package__).joinpath("messages.toml").read_text("utf-8")
)
"""Title and detail of each code."""
_BLANK = dict.fromkeys(
    ("X-Auth-User-Id", "X-Auth-Session-Id", "X-Auth-Device-Type", "X-Auth-Expires-At"), ""
)
_OAUTH_ERRORS = {401: "invalid_client", 500: "server_error", 503: "temporarily_unavailable"}


def is_authz(path: str) -> bool:
    """Whether a gateway asks here about a request of its own."""
    return path == "/authz" or path.startswith("/authz/")


def problem_response(scope: Scope, error: TicketgateError) -> JSONResponse:
    """The response for an error, in the language of the request.

    A gateway gets the code and blank identity headers too, so that a client's own are replaced. A
    client of `/oauth2/` gets OAuth's form (RFC 6749 section 5.2).
    """
    spec = PROBLEMS[type(error)]
    scope["ticketgate.problem"] = error  # for the log line of this request
    if scope["path"].startswith("/oauth2/"):
        name = _OAUTH_ERRORS.get(spec.status, "invalid_request")
        told = {"error": name, "error_description": MESSAGES[error.code]["en"][0]}
        own = _headers(error, spec)
        if spec.status == HTTPStatus.UNAUTHORIZED:
            own["WWW-Authenticate"] += ', Basic realm="ticketgate"'
        return JSONResponse(told, spec.status, own)
    headers = Headers(scope=scope)
    language = preferred_language(",".join(headers.getlist("accept-language")))
    body = _body(error, spec, language) | {
        "instance": f"urn:ticketgate:request:{scope['ticketgate.request_id']}",
        "request_id": scope["ticketgate.request_id"],
    }
    extra = {"Content-Language": language, "Vary": "Accept-Language"} | _headers(error, spec)
    if is_authz(scope["path"]):
        extra |= _BLANK | {"X-Auth-Error-Code": error.code}
    return JSONResponse(body, spec.status, extra, media_type=MEDIA_TYPE)


def preferred_language(accept_language: str) -> Language:
    """Chinese or English, by `Accept-Language` (RFC 9110 section 12.5.4); English if in doubt."""
    weights: dict[str, float] = {"en": 0.0, "zh": 0.0}
    for item in accept_language.lower().split(","):
        parsed = _RANGE.fullmatch(item.strip(" \t"))
        if parsed is not None and parsed["language"] in weights:
            weight = float(parsed["weight"] or 1)
            weights[parsed["language"]] = max(weights[parsed["language"]], weight)
    return "zh" if weights["zh"] > weights["en"] else "en"


def _body(error: TicketgateError, spec: ProblemSpec, language: Language) -> dict[str, Any]:
    title, detail = MESSAGES[error.code][language]
    body: dict[str, Any] = {
        "type": f"urn:ticketgate:error:{error.code}",
        "title": title,
        "status": spec.status,
        "detail": detail,
        "code": error.code,
        "client_action": spec.client_action,
    }
    if spec.session_alive is not None:
        body["session_alive"] = spec.session_alive
    if (retry_after := _retry_after(error, spec)) is not None:
        body["retry_after"] = retry_after
    for name in ("reason", "replaced_by"):
        if getattr(error, name, None) is not None:
            body[name] = getattr(error, name)
    if isinstance(error, errors.UserBanned) and error.until is not None:
        body["until"] = error.until.isoformat()
    if isinstance(error, errors.ProofInvalid):  # RFC 9449 sections 5 and 8
        body["error"] = "use_dpop_nonce" if error.outcome == "nonce" else "invalid_dpop_proof"
    if isinstance(error, errors.InvalidRequest):
        body["errors"] = [asdict(each) for each in error.errors]
    return body


def _headers(error: TicketgateError, spec: ProblemSpec) -> dict[str, str]:
    headers = {}
    if (retry_after := _retry_after(error, spec)) is not None:
        headers["Retry-After"] = str(retry_after)
    if isinstance(error, (errors.AccessTokenMissing, errors.ServiceKeyInvalid)):
        headers["WWW-Authenticate"] = 'Bearer realm="ticketgate"'
    elif isinstance(error, errors.AccessRefused):
        headers["WWW-Authenticate"] = 'Bearer realm="ticketgate", error="invalid_token"'
    if isinstance(error, errors.ProofError):
        headers["DPoP-Nonce"] = error.nonce
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, errors.BodyTooLarge):
        headers["Connection"] = "close"
    return headers


def _retry_after(error: TicketgateError, spec: ProblemSpec) -> int | None:
    return getattr(error, "retry_after", None) if spec.status in TEMPORARY else None
