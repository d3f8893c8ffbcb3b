"""`POST /v1/sessions/refresh`: the next pair of tokens."""

import httpx
import pytest

from tests.support.running_app import RunningApp

DAY = 86400


async def test_a_refresh_returns_a_token_response_with_outcome_rotated(app: RunningApp) -> None:
    first = await app.log_in(device={"type": "ios"})
    app.clock.advance(seconds=400)
    second = await app.refresh(first["refresh_token"])
    assert second.keys() == first.keys() | {"outcome"}
    assert second["outcome"] == "rotated"
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second["server_time"] == first["server_time"] + 400
    assert (second["session"], second["user"]) == (first["session"], first["user"])
    assert (second["expires_in"], second["refresh_expires_in"]) == (600, 14 * DAY)


async def test_a_repeated_refresh_returns_the_same_successor(app: RunningApp) -> None:
    first = await app.log_in()
    lost = await app.refresh(first["refresh_token"])
    found = await app.refresh(first["refresh_token"])
    assert found["outcome"] == "replayed"
    assert found["refresh_token"] == lost["refresh_token"]
    assert (await app.get("/v1/me", found)).status_code == 200


async def test_a_spent_token_ends_its_session_and_no_other(app: RunningApp) -> None:
    stolen, other = await app.log_in(), await app.log_in()
    second = await app.refresh(stolen["refresh_token"])
    third = await app.refresh(second["refresh_token"])
    assert (await app.try_refresh(stolen["refresh_token"])).json()["reason"] == "refresh_reused"
    assert (await app.try_refresh(third["refresh_token"])).json()["reason"] == "refresh_reused"
    assert (await app.refresh(other["refresh_token"]))["outcome"] == "rotated"


@pytest.mark.parametrize("token", ["", None, 5, "a" * 257])
async def test_a_refresh_token_is_a_text_of_bounded_length(
    phone: httpx.AsyncClient, token: object
) -> None:
    response = await phone.post("/v1/sessions/refresh", json={"refresh_token": token})
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/refresh_token"]


async def test_a_refresh_needs_a_refresh_token(phone: httpx.AsyncClient) -> None:
    response = await phone.post("/v1/sessions/refresh", json={})
    assert [error["pointer"] for error in response.json()["errors"]] == ["/refresh_token"]


async def test_a_bearer_in_the_header_does_not_refresh(app: RunningApp) -> None:
    tokens = await app.log_in()
    response = await app.try_refresh(tokens["access_token"][:256])
    assert (response.status_code, response.json()["code"]) == (400, "refresh_token_invalid")


async def test_a_store_that_is_down_costs_no_session(app: RunningApp) -> None:
    with_store = await app.log_in()
    broken = await app.try_refresh("rt_" + "A" * 70)
    assert broken.json()["session_alive"] is False
    app.break_store()
    assert (await app.try_refresh(with_store["refresh_token"])).json()["session_alive"] == (
        "unknown"
    )
