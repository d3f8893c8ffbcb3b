"""The fake management API: tokens and users."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.sandbox import Sandbox
from app.sandbox.personas import Persona

USER = Persona("lin").user_id


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://authing.test") as client:
        yield client


async def token(api: httpx.AsyncClient, sandbox: Sandbox, **changes: Any) -> dict[str, Any]:
    options = sandbox.state.options
    body = {"accessKeyId": options.user_pool_id, "accessKeySecret": options.user_pool_secret}
    response = await api.post("/api/v3/get-management-token", json=body | changes)
    assert response.status_code == 200
    return dict(response.json())


async def user(api: httpx.AsyncClient, text: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {text}"}
    return dict(
        (await api.get("/api/v3/get-user", params={"userId": USER}, headers=headers)).json()
    )


async def test_a_token_shows_users_for_two_hours(
    api: httpx.AsyncClient, sandbox: Sandbox, clock: Any
) -> None:
    data = (await token(api, sandbox))["data"]
    assert data["expires_in"] == 7200
    assert (await user(api, data["access_token"]))["data"]["status"] == "Activated"
    await api.put("/sandbox/status", json={"persona": "lin", "status": "Suspended"})
    assert (await user(api, data["access_token"]))["data"]["status"] == "Suspended"
    await api.put("/sandbox/status", json={"persona": "lin", "status": "Deleted"})
    assert (await user(api, data["access_token"]))["apiCode"] == 2004
    clock.now += 7200
    assert (await user(api, data["access_token"]))["statusCode"] == 401
    assert sandbox.state.users_read == 4


@pytest.mark.parametrize(
    "wrong", [{"accessKeySecret": "x"}, {"accessKeyId": "x"}, {"accessKeySecret": None}]
)
async def test_a_wrong_id_or_secret_gets_no_token(
    api: httpx.AsyncClient, sandbox: Sandbox, wrong: dict[str, Any]
) -> None:
    assert (await token(api, sandbox, **wrong))["statusCode"] == 401
    assert (await user(api, "made-up"))["statusCode"] == 401
