"""Requests with an access token: the session, the user, the logout."""

import httpx
import pytest

from tests.support.running_app import SERVICE_KEY, RunningApp


async def test_current_shows_this_session_and_its_user(app: RunningApp) -> None:
    tokens = await app.log_in(device={"type": "harmony"})
    app.clock.advance(seconds=60)
    refreshed = await app.refresh(tokens["refresh_token"])
    app.clock.advance(seconds=60)
    response = await app.get("/v1/sessions/current", refreshed)
    assert response.status_code == 200
    assert response.json() == {
        **tokens["session"],
        "last_used_at": tokens["server_time"] + 60,
        "user": tokens["user"],
    }


async def test_me_is_the_user_of_the_login(app: RunningApp) -> None:
    tokens = await app.log_in()
    response = await app.get("/v1/me", tokens)
    assert response.status_code == 200
    assert response.json() == tokens["user"]


async def test_logging_out_twice_is_no_error(app: RunningApp) -> None:
    tokens = await app.log_in()
    for _ in range(2):
        response = await app.log_out(tokens)
        assert (response.status_code, response.content) == (204, b"")
        assert "Content-Type" not in response.headers


async def test_the_scheme_is_read_in_any_case(app: RunningApp) -> None:
    token = (await app.log_in())["access_token"]
    for scheme in ("bearer", "BEARER"):
        response = await app.phone.get("/v1/me", headers={"Authorization": f"{scheme} {token}"})
        assert response.status_code == 200


async def test_several_spaces_may_separate_scheme_and_token(app: RunningApp) -> None:
    """RFC 9110 section 11.4: 1*SP."""
    token = (await app.log_in())["access_token"]
    for credentials in (f"Bearer  {token}", f"bearer     {token}"):
        response = await app.phone.get("/v1/me", headers={"Authorization": credentials})
        assert response.status_code == 200
    service = {"Authorization": f"Bearer   {SERVICE_KEY}"}
    response = await app.phone.get("/internal/v1/users/a/sessions", headers=service)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "value", ["", "Bearer   ", "Bearer", "Bearer ", "Basic dTpw", "DPoP a", "Bearer\ta", "a.b.c"]
)
async def test_another_scheme_than_bearer_is_no_credential(
    phone: httpx.AsyncClient, value: str
) -> None:
    response = await phone.get("/v1/me", headers={"Authorization": value})
    assert (response.status_code, response.json()["code"]) == (401, "access_token_missing")


@pytest.mark.parametrize(
    "value", [b"Bearer  two", b"Bearer a b", b"Bearer a,b", b'Bearer "a"', b"Bearer \xff"]
)
async def test_a_bearer_with_impossible_characters_is_invalid(
    phone: httpx.AsyncClient, value: bytes
) -> None:
    response = await phone.get("/v1/me", headers={b"Authorization": value})
    assert (response.status_code, response.json()["code"]) == (401, "access_token_invalid")
