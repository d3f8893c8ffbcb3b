"""Completes the OpenAPI description that FastAPI makes: errors, headers, examples.

Errors come from the table of errors, so the description agrees with the responses. The examples in
`examples.json` are responses of the service; `make openapi` records them.
"""

import json
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Literal, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from app.api.problems import MEDIA_TYPE, PROBLEMS, TEMPORARY, ClientAction
from app.errors import FieldError
from app.sessions.models import EndReason

_EVERYWHERE = (400, 413, 414, 431, 500)
"""Statuses that every operation may return: protocol errors and internal errors."""
_MEMBERS = {"invalid_request": "errors", "proof_invalid": "error", "session_ended": "reason"}
"""The member that only this error has."""
_SCHEMAS = "#/components/schemas/"


class Problem(TypedDict):
    """RFC 9457 problem document with our members; what does not apply is absent."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    client_action: ClientAction
    request_id: str
    session_alive: NotRequired[bool | Literal["unknown"]]
    retry_after: NotRequired[int]
    reason: NotRequired[EndReason]
    replaced_by: NotRequired[str]
    error: NotRequired[Literal["use_dpop_nonce", "invalid_dpop_proof"]]
    until: NotRequired[str]
    errors: NotRequired[list[FieldError]]


class OAuthError(TypedDict):
    """An error of `/oauth2/` (RFC 6749 section 5.2)."""

    error: Literal["invalid_request", "invalid_client", "temporarily_unavailable", "server_error"]
    error_description: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may return these statuses."""
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}


def cacheable(status: int, cache_control: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation whose success caches may keep."""
    return {status: {"headers": {"Cache-Control": _header(cache_control, const=cache_control)}}}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add a schema for each error, the headers of every response, and the examples."""
    examples = json.loads(files(__package__).joinpath("examples.json").read_text("utf-8"))
    components = document["components"]
    for model in (Problem, OAuthError):
        schema = TypeAdapter(model).json_schema(ref_template=_SCHEMAS + "{model}")
        components["schemas"] |= {**schema.pop("$defs", {}), model.__name__: schema}
    members = components["schemas"]["Problem"]["properties"]
    components["schemas"] |= {_name(e.code): _error_schema(e.code, members) for e in PROBLEMS}
    document = document | {name: _plain(document[name]) for name in ("components", "paths")}
    statuses = sorted({str(spec.status) for spec in PROBLEMS.values()})
    responses = {status: _problem_response(int(status), examples[status]) for status in statuses}
    responses |= {f"OAuth{status}": _oauth_response(status) for status in (*_EVERYWHERE, 401, 503)}
    document["components"]["responses"] = responses
    paths = document["paths"].items()
    for path, operation in ((path, each) for path, item in paths for each in item.values()):
        _complete_responses(operation, "OAuth" if path.startswith("/oauth2/") else "")
        for status, example in examples.get(operation["operationId"], {}).items():
            operation["responses"][status]["content"]["application/json"]["example"] = example
    return document


def _complete_responses(operation: dict[str, Any], form: str) -> None:
    responses: dict[Any, Any] = problems(*_EVERYWHERE) | operation["responses"]
    for status, response in responses.items():
        if "$ref" in response:
            responses[status] = {"$ref": f"#/components/responses/{form}{status}"}
        else:
            response["headers"] = _HEADERS | response.get("headers", {})
    operation["responses"] = dict(sorted(responses.items()))


def _plain(node: Any) -> Any:
    """Without null, which neither a query nor our documents need, and titles that repeat a name."""
    match node:
        case {"anyOf": [kind, {"type": "null"}], **more}:
            return _plain({**more, **kind})
        case dict():
            titles = {"title"} if isinstance(node.get("title"), str) else set()
            return {name: _plain(node[name]) for name in node if name not in titles}
        case list():
            return [_plain(each) for each in node]
    return node


def _name(code: str) -> str:
    """The name of an error's schema, such as `TicketUsed`."""
    return code.title().replace("_", "")


def _error_schema(code: str, described: dict[str, Any]) -> dict[str, Any]:
    specs = [spec for error, spec in PROBLEMS.items() if error.code == code]
    members: dict[str, Any] = {
        "status": {"type": "integer", "enum": sorted(spec.status for spec in specs)},
        "code": {"type": "string", "const": code},
        "client_action": {"type": "string", "const": specs[0].client_action},
    }
    if specs[0].session_alive is not None:
        members["session_alive"] = {"const": specs[0].session_alive}
    for name in ("retry_after" if specs[0].status in TEMPORARY else None, _MEMBERS.get(code)):
        if name is not None:
            members[name] = described[name]
    kind = {"type": "object", "properties": members, "required": [*members]}
    return {"allOf": [{"$ref": _SCHEMAS + "Problem"}, kind]}


def _problem_response(status: int, examples: dict[str, Any]) -> dict[str, Any]:
    codes = sorted(error.code for error, spec in PROBLEMS.items() if spec.status == status)
    mapping = {code: _SCHEMAS + _name(code) for code in codes}
    schema = {
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
        "discriminator": {"propertyName": "code", "mapping": mapping},
    }
    shown = {code: {"value": example} for code, example in examples.items()}
    return {
        "description": ", ".join(codes),
        "headers": _HEADERS
        | _PROBLEM_HEADERS
        | _OWN_HEADERS.get(status, {})
        | (_NONCE if status == HTTPStatus.BAD_REQUEST else {}),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": shown}},
    }


def _oauth_response(status: int) -> dict[str, Any]:
    return {
        "description": "An error of OAuth",
        "headers": _HEADERS | _OWN_HEADERS.get(status, {}),
        "content": {"application/json": {"schema": {"$ref": _SCHEMAS + "OAuthError"}}},
    }


def _header(description: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    schema = {"type": "string"} | schema
    return {"description": description, "required": required, "schema": schema}


_HEADERS = {
    "X-Request-Id": _header(
        "The id of the request, if it was well-formed", pattern="^[A-Za-z0-9._-]+$"
    ),
    "X-Content-Type-Options": _header("No sniffing", const="nosniff"),
    "Cache-Control": _header("Not to be kept", const="no-store"),
}
_NONCE = {"DPoP-Nonce": _header("For the next proof (RFC 9449 section 8)", required=False)}
REFRESHED: dict[int | str, dict[str, Any]] = {200: {"headers": _NONCE}}
"""The `responses` of a refresh."""
OPENED: dict[int | str, dict[str, Any]] = {
    201: {
        "headers": {
            "Location": _header("Of the session", pattern="/v1/sessions/[A-Za-z0-9_-]{22}$"),
            "Idempotency-Replayed": _header("The same again", required=False, const="true"),
            **_NONCE,
        },
        "links": {
            "refresh": {
                "operationId": "refresh",
                "requestBody": {"refresh_token": "$response.body#/refresh_token"},
            },
            "end": {
                "operationId": "end_one",
                "parameters": {"session_id": "$response.body#/session/id"},
            },
        },
    }
}
"""The `responses` of a login: the address of the session, and links to its operations."""
IDENTITY = {
    "X-Auth-User-Id": _header("`sub` of the user"),
    "X-Auth-Session-Id": _header("`id` of the session"),
    "X-Auth-Device-Type": _header("`type` of the device, or empty"),
    "X-Auth-Expires-At": _header("When the access token expires, in epoch seconds"),
    "X-Auth-Error-Code": _header("Empty", const=""),
}
"""The headers of a response that lets a request pass."""
_PROBLEM_HEADERS = {
    "Content-Language": _header("Of title and detail", enum=["en", "zh"]),
    "Vary": _header("What the language depends on", pattern="^Accept-Language"),
}
_RETRY_AFTER = {"Retry-After": _header("Seconds", type="integer", minimum=1)}
_OWN_HEADERS = dict.fromkeys(TEMPORARY, _RETRY_AFTER) | {
    401: {"WWW-Authenticate": _header("RFC 6750 section 3", pattern="^Bearer ")},
    405: {"Allow": _header("The methods of this path")},
    413: {"Connection": _header("The rest of the body is not read", const="close")},
}
