"""`/authz`: whether a request that reached a gateway may pass, and whose it is."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.routes import GATE_HEADERS
from tests.support.running_app import SERVICE, RunningApp, bearer

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY")
PATHS = (
    *("/authz", "/authz/", "/authz/v1/orders", "/authz//", "/authz/a/../b", "/authz/%0a%00%ff"),
    *("/authz/%2e%2e/v1/me", "/authz/订单", "/authz/a?token=made-up&access_token=b&ticket=c"),
    *("/authz?next=1", "/authz/v1/sessions/current"),
)
BLANK = dict.fromkeys(GATE_HEADERS, "")


def identity(response: httpx.Response) -> dict[str, str]:
    return {name: response.headers[name] for name in GATE_HEADERS}


async def denial(app: RunningApp, tokens: dict[str, Any]) -> tuple[int, str]:
    response = await app.get("/authz", tokens)
    assert identity(response) == BLANK
    assert response.headers["X-Auth-Error-Code"] == response.json()["code"]
    return response.status_code, response.json()["code"]


async def test_an_allowed_request_is_told_whose_it_is(app: RunningApp) -> None:
    tokens = await app.log_in(device={"type": "ios"})
    app.clock.advance(seconds=60)
    response = await app.get("/authz", tokens)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == "0"
    assert "Content-Type" not in response.headers
    assert identity(response) == {
        "X-Auth-User-Id": tokens["user"]["sub"],
        "X-Auth-Session-Id": tokens["session"]["id"],
        "X-Auth-Device-Type": "ios",
        "X-Auth-Expires-At": str(app.clock.epoch + 540),
    }
    assert response.headers["X-Auth-Error-Code"] == ""


async def test_every_method_and_path_is_answered(app: RunningApp) -> None:
    tokens = await app.log_in()
    for path in PATHS:
        for method in METHODS if path == "/authz" else ("POST",):
            for headers, status in ((bearer(tokens), 200), ({}, 401)):
                request = httpx.Request(method, f"http://api.test{path}", headers=headers)
                response = await app.phone.send(request)
                assert response.status_code == status, (method, path)
                code = "" if status == 200 else "access_token_missing"
                assert response.headers["X-Auth-Error-Code"] == code
                assert identity(response)["X-Auth-Device-Type"] == ""


@pytest.mark.parametrize("path", ["/authzx", "/authz%2f", "/xauthz", "/AUTHZ", "/v1/authz"])
async def test_another_path_is_no_gate(app: RunningApp, path: str) -> None:
    response = await app.get(path, await app.log_in())
    assert response.status_code == (200 if path == "/authz%2f" else 404)


async def test_no_header_about_the_original_request_decides(app: RunningApp) -> None:
    tokens = await app.log_in()
    original = {
        "X-Original-URL": "/livez",
        "X-Forwarded-Uri": "/livez",
        "X-Forwarded-Method": "OPTIONS",
        "X-HTTP-Method-Override": "OPTIONS",
        "X-Auth-User-Id": "somebody",
        "x_auth_user_id": "somebody",
    }
    assert (await app.phone.get("/authz", headers=original)).status_code == 401
    allowed = await app.phone.get("/authz", headers=bearer(tokens) | original)
    assert identity(allowed)["X-Auth-User-Id"] == tokens["user"]["sub"]


@pytest.mark.parametrize("app", [{"cors_origins": ("capacitor://localhost",)}], indirect=True)
async def test_a_preflight_is_denied(app: RunningApp) -> None:
    asks = {"Origin": "capacitor://localhost", "Access-Control-Request-Method": "GET"}
    for path in ("/authz", "/authz/v1/orders"):
        assert (await app.phone.options(path, headers=asks)).status_code == 401
    assert (await app.phone.options("/v1/me", headers=asks)).status_code == 204


async def test_an_end_counts_at_the_next_request(app: RunningApp) -> None:
    tokens = await app.log_in()
    assert (await app.get("/authz", tokens)).status_code == 200
    await app.log_out(tokens)
    assert await denial(app, tokens) == (401, "session_ended")


async def test_a_banned_user_is_forbidden_while_the_ban_is_in_force(app: RunningApp) -> None:
    tokens = await app.log_in()
    subject = tokens["user"]["sub"]
    await app.backend("PUT", subject, "ban", {"reason": "spam"})
    assert await denial(app, tokens) == (403, "user_banned")
    await app.backend("DELETE", subject, "ban")
    assert await denial(app, tokens) == (401, "session_ended")


async def test_the_use_of_a_successor_at_the_gate_ends_the_window_of_its_predecessor(
    app: RunningApp,
) -> None:
    tokens = await app.log_in()
    successor = await app.refresh(tokens["refresh_token"])
    assert (await app.get("/authz", successor)).status_code == 200
    assert (await app.try_refresh(tokens["refresh_token"])).json()["reason"] == "refresh_reused"


async def test_a_store_that_cannot_be_asked_is_503_and_never_401(app: RunningApp) -> None:
    tokens = await app.log_in()
    app.break_store()
    assert await denial(app, tokens) == (503, "store_unavailable")


async def test_nothing_of_the_original_request_is_logged(
    app: RunningApp, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    tokens = await app.log_in()
    await app.get("/authz/canary/a?token=canary&canary=b", tokens)
    line = log_lines()[-1]
    assert (line["route"], line["session_id"]) == (
        "/authz/{original:path}",
        tokens["session"]["id"],
    )
    assert "canary" not in str(line)


async def test_no_other_credential_opens_the_gate(app: RunningApp) -> None:
    tokens = await app.log_in()
    refused = {"access_token": tokens["refresh_token"]}
    assert await denial(app, refused) == (401, "access_token_invalid")
    assert (await app.phone.get("/authz", headers=SERVICE)).status_code == 401
    in_the_query = {"access_token": tokens["access_token"]}
    assert (await app.phone.get("/authz/a", params=in_the_query)).status_code == 401
    assert (await app.phone.get("/authz", params=in_the_query)).status_code == 400
