"""The OpenAPI description: served only if the settings say so, valid, and true."""

import asyncio
import json
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

from app.api.app import Description
from app.api.problems import MEDIA_TYPE, PROBLEMS
from app.api.routes import public
from tests.api.description import DESCRIPTION, EXAMPLES, errors, fixed, successes
from tests.api.error_cases import AllOutcomes
from tests.api.routes import BY_SERVICE_KEY, DESCRIBED, FOR_BEARERS, INTERNAL, OAUTH, WITH_BODY
from tests.support.running_app import SERVICE, RunningApp, phone_of, running_app

ROUTING = {404, 405}
"""What no operation says of itself, because it is said in place of any."""
ADDRESSES = re.compile(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""")


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running_app(tmp_path, api_docs=True) as app:
        yield app.phone


@pytest.fixture(scope="session")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    async def read() -> httpx.Response:
        async with running_app(tmp_path_factory.mktemp("described"), api_docs=True) as app:
            return await app.phone.get("/openapi.json")

    response = asyncio.run(read())
    assert response.status_code == 200
    described: dict[str, Any] = response.json()
    return described


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def template_of(path: str) -> str:
    path = re.sub("/users/[^/]+/", "/users/{subject}/", path)
    return path if path in DESCRIBED else re.sub("/[^/]+$", "/{session_id}", path)


def objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = [*node.values()]
    if isinstance(node, list):
        for value in node:
            yield from objects(value)


def conforms(document: dict[str, Any], described: dict[str, Any], response: httpx.Response) -> bool:
    """Whether the response has the headers and the shape of its description."""
    required = {name for name, header in described["headers"].items() if header["required"]}
    media_type = response.headers["Content-Type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    whole = {**schema, "components": document["components"]}
    is_shaped = Draft202012Validator(whole).is_valid(response.json())
    return is_shaped and all(name in response.headers for name in required)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/swagger/swagger-ui.css"])
async def test_nothing_is_described_unless_asked_for(phone: httpx.AsyncClient, path: str) -> None:
    assert (await phone.get(path)).status_code == 404


async def test_the_description_is_sound(document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    for each in objects(document):
        assert each.get("type") != "null"
        if "$ref" in each:
            node: Any = document
            for step in each["$ref"].removeprefix("#/").split("/"):
                node = node[step]
    for schema in objects(document["components"]["schemas"]):
        assert {*schema.get("required", ())} <= schema.get("properties", {}).keys(), schema


async def test_the_committed_description_is_the_one_that_is_served(
    document: dict[str, Any],
) -> None:
    assert json.loads(DESCRIPTION.read_text("utf-8")) == document, "make openapi writes it"


def test_the_description_is_made_once() -> None:
    described = Description(title="Made up", version="1", routes=[*public.router.routes])
    assert described.openapi() is described.openapi()


async def test_every_operation_is_described_but_head(document: dict[str, Any]) -> None:
    described = {(path, method) for path, method, _ in operations(document)}
    served = {(path, each) for path, methods in DESCRIBED.items() for each in methods - {"HEAD"}}
    assert described == served


async def test_routes_without_service_keys_are_not_described(tmp_path: Path) -> None:
    async with running_app(tmp_path, api_docs=True, service_api_keys=()) as app:
        described = (await app.phone.get("/openapi.json")).json()
    assert described["paths"].keys() == DESCRIBED.keys() - INTERNAL - {"/oauth2/introspect"}


async def test_every_operation_has_a_name_of_its_own_a_summary_and_a_described_tag(
    document: dict[str, Any],
) -> None:
    described = [operation for *_, operation in operations(document)]
    assert len({operation["operationId"] for operation in described}) == len(described)
    assert all(operation["summary"] for operation in described)
    tags = {tag for operation in described for (tag,) in [operation["tags"]]}
    assert tags == {tag["name"] for tag in document["tags"] if tag["description"]}
    assert document["info"]["description"]


async def test_the_examples_are_responses_of_the_service(
    app: RunningApp, all_outcomes: AllOutcomes
) -> None:
    recorded = fixed(await successes(app) | errors(all_outcomes.outcomes))
    assert json.loads(EXAMPLES.read_text("utf-8")) == recorded, "make openapi writes them"


async def test_every_document_has_an_example_of_its_shape(document: dict[str, Any]) -> None:
    for *_, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json")
            if content and int(status) < HTTPStatus.BAD_REQUEST:
                whole = {**content["schema"], "components": document["components"]}
                assert Draft202012Validator(whole).is_valid(content["example"])


async def test_every_error_has_a_schema_of_its_own(document: dict[str, Any]) -> None:
    components = document["components"]
    members = [each.get("properties", {}) for each in objects(components["schemas"])]
    described = {m["code"]["const"]: m for m in members if "const" in m.get("code", {})}
    assert described.keys() == {error.code for error in PROBLEMS}
    for error, spec in PROBLEMS.items():
        assert spec.status in described[error.code]["status"]["enum"]
        assert spec.client_action == described[error.code]["client_action"]["const"]
        schema = components["responses"][str(spec.status)]["content"][MEDIA_TYPE]["schema"]
        assert error.code in schema["discriminator"]["mapping"]


async def test_the_description_says_which_operations_need_which_credential(
    document: dict[str, Any],
) -> None:
    schemes = document["components"]["securitySchemes"]
    assert "`Authorization: Bearer <access_token>`" in schemes["access_token"]["description"]
    assert "`Authorization: Bearer <key>`" in schemes["service_key"]["description"]
    needed = {(path, method) for path, method, op in operations(document) if "security" in op}
    assert needed == FOR_BEARERS | BY_SERVICE_KEY


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
    assert len(control) == 8


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
                form = "OAuth" if path in OAUTH else ""
                assert response == {"$ref": f"#/components/responses/{form}{status}"}
    for case, outcome in all_outcomes.outcomes.items():
        described = document["components"]["responses"][str(case.status)]
        assert conforms(document, described, outcome.response), outcome.response.text


@pytest.mark.filterwarnings("ignore:open_binary is deprecated")  # by fastapi_swagger, to read files
async def test_the_docs_load_everything_from_here_and_do_not_keep_the_bearer(
    reader: httpx.AsyncClient,
) -> None:
    page = await reader.get("/docs")
    assert page.status_code == 200
    assert '"persistAuthorization": false' in page.text
    addresses = ["".join(found) for found in ADDRESSES.findall(page.text)]
    assert len(addresses) == 4
    for address in addresses:
        absolute = urljoin("http://api.test/docs", address)
        assert urlsplit(absolute).netloc == "api.test"
        assert (await reader.get(absolute)).status_code == 200
