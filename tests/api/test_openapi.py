"""The OpenAPI description: served only if the settings say so, valid, and true."""

import re
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema_rs import Draft202012Validator

from tests.api.error_cases import AllOutcomes
from tests.api.routes import FOR_BEARERS, INTERNAL, ROUTES, WITH_BODY
from tests.support.running_app import SERVICE, phone_of, running_app

ROUTING = {404, 405}
"""What no operation says of itself, because it is said in place of any."""
ADDRESSES = re.compile(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""")


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running_app(tmp_path, api_docs=True) as app:
        yield app.phone


@pytest.fixture
async def document(reader: httpx.AsyncClient) -> dict[str, Any]:
    response = await reader.get("/openapi.json")
    assert response.status_code == 200
    described: dict[str, Any] = response.json()
    return described


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def template_of(path: str) -> str:
    """The described path, with names for its variable steps."""
    if path in ROUTES:
        return path
    steps = {
        "/v1/sessions/[^/]+": "/v1/sessions/{session_id}",
        "/users/[^/]+/": "/users/{subject}/",
    }
    for found, described in steps.items():
        path = re.sub(found, described, path)
    return path


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def headers_missing(described: dict[str, Any], response: httpx.Response) -> set[str]:
    required = {name for name, header in described["headers"].items() if header["required"]}
    return {name for name in required if name not in response.headers}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/swagger/swagger-ui.css"])
async def test_nothing_is_described_unless_asked_for(phone: httpx.AsyncClient, path: str) -> None:
    assert (await phone.get(path)).status_code == 404


async def test_the_description_is_sound(document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    for reference in references(document):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


async def test_every_operation_is_described_but_head(document: dict[str, Any]) -> None:
    described = {(path, method) for path, method, _ in operations(document)}
    served = {(path, method) for path, methods in ROUTES.items() for method in methods - {"HEAD"}}
    assert described == served


async def test_routes_without_service_keys_are_not_described(tmp_path: Path) -> None:
    async with running_app(tmp_path, api_docs=True, service_api_keys=()) as app:
        described = (await app.phone.get("/openapi.json")).json()
    assert described["paths"].keys() == ROUTES.keys() - INTERNAL


async def test_every_operation_has_a_name_of_its_own_and_a_summary(
    document: dict[str, Any],
) -> None:
    names = [operation["operationId"] for *_, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] for *_, operation in operations(document))


async def test_every_operation_has_one_tag(document: dict[str, Any]) -> None:
    tags = {tag for *_, operation in operations(document) for (tag,) in [operation["tags"]]}
    assert tags == {"app", "public", "backend", "health"}


async def test_the_examples_of_bodies_are_read_when_they_are_executed(
    document: dict[str, Any], reader: httpx.AsyncClient
) -> None:
    outcomes = {}
    for path, method in WITH_BODY.items():
        operation = document["paths"][path][method.lower()]
        (body,) = operation["requestBody"]["content"].values()
        schema = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        address = path.format(subject="somebody")
        for example in schema["examples"]:
            response = await reader.request(method, address, json=example, headers=SERVICE)
            outcomes[path, *sorted(example)] = response.json().get("code", response.status_code)
    assert outcomes == {
        ("/v1/sessions", "device", "ticket"): "ticket_rejected",
        ("/v1/sessions", "device", "ext_msg"): "ticket_rejected",
        ("/v1/sessions/refresh", "refresh_token"): "refresh_token_invalid",
        ("/internal/v1/users/{subject}/ban", "reason"): 200,
    }


async def test_the_sandbox_is_described_with_examples_that_work(tmp_path: Path) -> None:
    async with running_app(tmp_path, api_docs=True) as app:
        routes = app.sandbox.pages
        async with phone_of(app.serve(extra_routes=routes)) as phone:
            described = (await phone.get("/openapi.json")).json()
            OpenAPI.model_validate(described)
            control = {
                (path, method): operation
                for path, method, operation in operations(described)
                if operation["tags"] == ["sandbox"]
            }
            for (path, method), operation in control.items():
                body = operation.get("requestBody", {"content": {"application/json": {}}})
                example = body["content"]["application/json"].get("example")
                response = await phone.request(method, path, json=example)
                assert response.status_code == 200, path
                assert operation["summary"]
    assert len(control) == 9


async def test_only_bearers_and_the_backend_need_a_credential(document: dict[str, Any]) -> None:
    needed = {(path, method) for path, method, op in operations(document) if "security" in op}
    for_service_keys = {(path, method) for path in INTERNAL for method in ROUTES[path]}
    assert needed == FOR_BEARERS | for_service_keys


async def test_the_errors_that_came_are_those_that_were_described(
    document: dict[str, Any], all_outcomes: AllOutcomes
) -> None:
    came: dict[tuple[str, str], set[int]] = {}
    for outcome in all_outcomes.outcomes.values():
        request = outcome.response.request
        if "token=" not in str(request.url) and "ticket=" not in str(request.url):
            path = template_of(request.url.path)
            came.setdefault((path, request.method), set()).add(outcome.response.status_code)
    for path, method, operation in operations(document):
        told = {int(status) for status in operation["responses"]}
        assert came.get((path, method), set()) - ROUTING <= told, (method, path)


async def test_errors_are_described_in_the_shape_that_they_have(
    document: dict[str, Any], all_outcomes: AllOutcomes
) -> None:
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= HTTPStatus.BAD_REQUEST and path != "/readyz":
                assert response == {"$ref": f"#/components/responses/{status}"}
    for case, outcome in all_outcomes.outcomes.items():
        described = document["components"]["responses"][str(case.status)]
        assert headers_missing(described, outcome.response) == set()
        schema = described["content"][outcome.response.headers["Content-Type"].partition(";")[0]][
            "schema"
        ]
        whole = {**schema, "components": document["components"]}
        assert Draft202012Validator(whole).is_valid(outcome.response.json()), outcome.response.text


async def test_no_parameter_is_described_as_nullable(document: dict[str, Any]) -> None:
    parameters = [p for *_, op in operations(document) for p in op.get("parameters", ())]
    assert {p["name"] for p in parameters} == {
        *("platform", "get_phone", "idempotency-key", "scope", "session_id", "subject"),
        *("after", "last-event-id", "DPoP"),
    }
    assert not any("anyOf" in p["schema"] for p in parameters)


@pytest.mark.filterwarnings("ignore:open_binary is deprecated")  # by fastapi_swagger, to read files
async def test_the_docs_load_everything_from_here(reader: httpx.AsyncClient) -> None:
    page = await reader.get("/docs")
    assert page.status_code == 200
    addresses = ["".join(found) for found in ADDRESSES.findall(page.text)]
    assert len(addresses) == 4
    for address in addresses:
        absolute = urljoin("http://api.test/docs", address)
        assert urlsplit(absolute).netloc == "api.test"
        assert (await reader.get(absolute)).status_code == 200


async def test_the_docs_do_not_keep_the_bearer(reader: httpx.AsyncClient) -> None:
    assert '"persistAuthorization": false' in (await reader.get("/docs")).text
