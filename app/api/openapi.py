"""Adds problems and headers to the OpenAPI description that FastAPI makes.

They come from the table of errors, so the description agrees with the responses. This module knows
no route.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Literal, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from app.api.problems import MEDIA_TYPE, PROBLEMS, TEMPORARY, ClientAction
from app.errors import FieldError
from app.sessions.models import EndReason

_EVERYWHERE = (400, 413, 414, 431, 500)
"""Statuses that every operation may return: protocol errors and internal errors."""


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


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may return these statuses."""
    return {status: {"$ref": f"#/components/responses/{status}"} for status in statuses}


def cacheable(status: int, cache_control: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation whose success caches may keep."""
    return {status: {"headers": {"Cache-Control": _header(cache_control, const=cache_control)}}}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the shape of each problem and the headers of every response."""
    document = deepcopy(document)
    components = document.setdefault("components", {})
    problem = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    components.setdefault("schemas", {}).update(problem.pop("$defs"), Problem=problem)
    statuses = sorted({spec.status for spec in PROBLEMS.values()})
    components["responses"] = {str(status): _problem_response(status) for status in statuses}
    for operation in _operations(document):
        responses = {str(status): r for status, r in problems(*_EVERYWHERE).items()}
        responses |= operation["responses"]
        for response in responses.values():
            if "$ref" in response:
                response.pop("description", None)  # the component has one
            else:
                response["headers"] = _HEADERS | response.get("headers", {})
        operation["responses"] = dict(sorted(responses.items()))
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _without_null(parameter["schema"])
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    # FastAPI describes an optional parameter as nullable, but a query string has no null.
    match schema:
        case {"anyOf": [kind, {"type": "null"}], **more}:
            return {**kind, **more}
    return schema


def _problem_response(status: int) -> dict[str, Any]:
    specs = {e.code: spec for e, spec in PROBLEMS.items() if spec.status == status}
    members: dict[str, Any] = {
        "status": {"const": status},
        "code": {"enum": sorted(specs)},
        "client_action": {"enum": sorted({spec.client_action for spec in specs.values()})},
    }
    required = ["session_alive"] if all(s.session_alive is not None for s in specs.values()) else []
    required += ["retry_after"] if status in TEMPORARY else []
    kind = {"properties": members} | ({"required": required} if required else {})
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, kind]}
    return {
        "description": ", ".join(sorted(specs)),
        "headers": _HEADERS | _PROBLEM_HEADERS | _OWN_HEADERS.get(status, {}),
        "content": {MEDIA_TYPE: {"schema": schema}},
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
_PROBLEM_HEADERS = {
    "Content-Language": _header("Of title and detail", enum=["en", "zh"]),
    "Vary": _header("What the language depends on", pattern="^Accept-Language"),
}
_RETRY_AFTER = {"Retry-After": _header("Seconds", type="integer", minimum=1)}
_OWN_HEADERS = dict.fromkeys(TEMPORARY, _RETRY_AFTER) | {
    400: _NONCE,
    401: {"WWW-Authenticate": _header("RFC 6750 section 3", pattern="^Bearer ")},
    405: {"Allow": _header("The methods of this path")},
    413: {"Connection": _header("The rest of the body is not read", const="close")},
}
