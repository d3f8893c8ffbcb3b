"""The fake management API: tokens and users."""

from typing import Any

import httpx
import pytest

from app.sandbox import Sandbox
from app.sandbox.personas import Persona

USER = Persona("lin").user_id


async def token(http: httpx.AsyncClient, sandbox: Sandbox, **changes: Any) -> dict[str, Any]:
    options = sandbox.state.options
    body = {"accessKeyId": options.user_pool_id, "accessKeySecret": options.user_pool_secret}
    response = await http.post("/api/v3/get-management-token", json=body | changes)
    assert response.status_code == 200
    return dict(response.json())


async def user(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    response = await http.get("/api/v3/get-user", params={"userId": USER}, headers=headers)
    return dict(response.json())


async def test_a_token_shows_users_for_two_hours(
    http: httpx.AsyncClient, sandbox: Sandbox, clock: Any
) -> None:
    data = (await token(http, sandbox))["data"]
    assert data["expires_in"] == 7200
    assert (await user(http, data["access_token"]))["data"]["status"] == "Activated"
    await http.put("/sandbox/status", json={"persona": "lin", "status": "Suspended"})
    assert (await user(http, data["access_token"]))["data"]["status"] == "Suspended"
    await http.put("/sandbox/status", json={"persona": "lin", "status": "Deleted"})
    assert (await user(http, data["access_token"]))["apiCode"] == 2004
    clock.now += 7200
    assert (await user(http, data["access_token"]))["statusCode"] == 401
    assert sandbox.state.users_read == 4


@pytest.mark.parametrize(
    "wrong", [{"accessKeySecret": "x"}, {"accessKeyId": "x"}, {"accessKeySecret": None}]
)
async def test_a_wrong_id_or_secret_gets_no_token(
    http: httpx.AsyncClient, sandbox: Sandbox, wrong: dict[str, Any]
) -> None:
    assert (await token(http, sandbox, **wrong))["statusCode"] == 401
    assert (await user(http, "made-up"))["statusCode"] == 401
