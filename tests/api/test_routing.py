"""Paths are exact, and 404 and 405 have our shape."""

from collections.abc import Iterator
from inspect import iscoroutinefunction

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api.app import _ROUTERS
from app.api.routes import internal
from tests.api.routes import ROUTES
from tests.support.running_app import RunningApp

STANDARD = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
UNKNOWN = {"PROPFIND", "PURGE", "QUERY", "M-SEARCH", "get"}


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1", "/V1/me", "//v1/me", "/v1//me", "/v1/me/..", "/v1/me.json", "/%00"),
        *("/docs", "/openapi.json", "/v1/me%00", "/v1%2fme%2f", "/v1/me%20", "/v1/me%0a"),
        *("/v1%5cme", "/v1/a/%2e%2e/me", "/v1/%ef%bd%8d%ef%bd%85", "/v1/%256de"),
    ],
)
async def test_there_is_nothing_at_another_path(phone: httpx.AsyncClient, path: str) -> None:
    response = await phone.send(httpx.Request("GET", f"http://api.test{path}"))
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_no_path_with_a_trailing_slash_leads_anywhere(phone: httpx.AsyncClient) -> None:
    for path, methods in ROUTES.items():
        for method in methods:
            response = await phone.request(method, f"{path}/")
            assert response.status_code == 404
            assert "Location" not in response.headers


@pytest.mark.parametrize("path", ROUTES)
async def test_another_method_is_405_and_allow_lists_the_methods_of_the_path(
    phone: httpx.AsyncClient, path: str
) -> None:
    for method in (STANDARD | UNKNOWN) - ROUTES[path]:
        request = phone.build_request(method, path, headers={"Accept-Language": "zh"})
        request.method = method  # as it is: httpx writes it in capitals
        response = await phone.send(request)
        assert response.status_code == 405, method
        assert set(response.headers["Allow"].split(", ")) == ROUTES[path]
        assert method == "HEAD" or response.json()["title"] == "不支持该方法"


@pytest.mark.parametrize("method", ["POST", *sorted(UNKNOWN)])
async def test_an_unknown_path_is_404_whatever_is_sent_to_it(
    phone: httpx.AsyncClient, method: str
) -> None:
    response = await phone.request(method, "/v1/nothing", content=b"\xff" * 100)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", [path for path in ROUTES if "HEAD" in ROUTES[path]])
async def test_head_tells_what_get_would(phone: httpx.AsyncClient, path: str) -> None:
    got, head = await phone.get(path), await phone.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    own = {"x-request-id"}
    assert {**head.headers, **dict.fromkeys(own)} == {**got.headers, **dict.fromkeys(own)}


async def test_the_response_is_json_with_any_accept(phone: httpx.AsyncClient) -> None:
    response = await phone.get("/v1/launch", headers={"Accept": "application/xml"})
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_name_with_a_path_of_its_own_is_no_session(app: RunningApp) -> None:
    response = await app.delete("/v1/sessions/refresh", await app.log_in())
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


def below(wanted: Dependant) -> Iterator[Dependant]:
    for dependency in wanted.dependencies:
        yield dependency
        yield from below(dependency)


def test_dependencies_are_async_and_read_no_parameters() -> None:
    """A plain function would run in a thread of FastAPI; ours would not run it at all."""
    routes = [r for router in (*_ROUTERS, internal.router) for r in router.routes]
    asked = [each for r in routes if isinstance(r, APIRoute) for each in below(r.dependant)]
    assert len(asked) > 20
    for each in asked:
        assert iscoroutinefunction(each.call) or iscoroutinefunction(type(each.call).__call__)
        assert not [*each.path_params, *each.query_params, *each.header_params, *each.body_params]
