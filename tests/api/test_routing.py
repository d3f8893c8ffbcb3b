"""Paths and methods: exact, and what the framework would say on its own has our shape."""

import httpx
import pytest

from tests.api.routes import ROUTES
from tests.support.running_app import RunningApp

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/V1/me", "//v1/me", "/v1//me", "/v1/me/..", "/%00", "/docs", "/openapi.json"],
)
async def test_there_is_nothing_at_another_path(phone: httpx.AsyncClient, path: str) -> None:
    answer = await phone.send(httpx.Request("GET", f"http://api.test{path}"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_no_path_with_a_trailing_slash_leads_anywhere(phone: httpx.AsyncClient) -> None:
    for path, methods in ROUTES.items():
        for method in methods:
            answer = await phone.request(method, f"{path}/")
            assert answer.status_code == 404
            assert "Location" not in answer.headers


async def test_an_unknown_path_is_not_found_whatever_is_sent_to_it(
    phone: httpx.AsyncClient,
) -> None:
    answer = await phone.post("/v1/nothing", content=b"\xff" * 100)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ROUTES)
async def test_another_method_is_told_all_that_the_path_takes(
    phone: httpx.AsyncClient, path: str
) -> None:
    for method in METHODS - ROUTES[path]:
        answer = await phone.request(method, path)
        assert answer.status_code == 405, method
        assert set(answer.headers["Allow"].split(", ")) == ROUTES[path]


@pytest.mark.parametrize("path", [path for path in ROUTES if "HEAD" in ROUTES[path]])
async def test_head_tells_what_get_would(phone: httpx.AsyncClient, path: str) -> None:
    got, head = await phone.get(path), await phone.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    own = {"x-request-id"}
    assert {**head.headers, **dict.fromkeys(own)} == {**got.headers, **dict.fromkeys(own)}


async def test_head_tells_that_a_process_is_not_ready(world: RunningApp) -> None:
    world.drain.start()
    assert (await world.phone.head("/readyz")).status_code == 503


async def test_what_the_api_prefers_to_say_in_is_json_whatever_is_accepted(
    phone: httpx.AsyncClient,
) -> None:
    answer = await phone.get("/v1/launch", headers={"Accept": "application/xml"})
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_name_with_a_path_of_its_own_is_no_session(world: RunningApp) -> None:
    answer = await world.delete("/v1/sessions/refresh", await world.log_in())
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
