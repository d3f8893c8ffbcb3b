"""Completes the OpenAPI description that FastAPI makes: errors, headers, examples.

Errors come from the table of errors, so the description agrees with the responses. `openapi.toml`
has what no signature tells, such as headers. The examples in `examples.json` are responses of the
service; `make openapi` records them.
"""

import json
import tomllib
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from itertools import chain
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


def complete(document: dict[str, Any], paths: Collection[str]) -> dict[str, Any]:
    """Add a schema for each error, the headers of every response, and the examples.

    `paths` are those of all routes, also of those that FastAPI does not describe.
    """
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
    more = {name: part for name, part in _from_file().items() if name != "headers"}
    known = {path: item for path, item in more["paths"].items() if path in paths}
    document = _merged(document, more | {"paths": known})
    items = document["paths"].items()
    for path, operation in ((path, each) for path, item in items for each in item.values()):
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
            response["headers"] = _headers("every") | response.get("headers", {})
    operation["responses"] = dict(sorted(responses.items()))


def _merged(node: Any, more: Any) -> Any:
    """Both: members of objects, members of lists; else the second."""
    match node, more:
        case dict(), dict():
            return node | {name: _merged(node.get(name), more[name]) for name in more}
        case list(), list():
            return node + more
    return more


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
        "headers": _headers("every", str(status), "problem"),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": shown}},
    }


def _oauth_response(status: int) -> dict[str, Any]:
    return {
        "description": "An error of OAuth",
        "headers": _headers("every", str(status)),
        "content": {"application/json": {"schema": {"$ref": _SCHEMAS + "OAuthError"}}},
    }


@cache
def _from_file() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("openapi.toml").read_text("utf-8"))


def _headers(*groups: str) -> dict[str, Any]:
    headers = _from_file()["headers"]
    return dict(chain.from_iterable(headers.get(group, {}).items() for group in groups))
