"""What a bearer of an access token may do: see their session and themselves, and log out."""

import httpx
import pytest

from tests.support.running_app import RunningApp, bearer


async def test_current_shows_this_session_and_its_user(world: RunningApp) -> None:
    tokens = await world.log_in(device={"type": "harmony"})
    world.clock.advance(seconds=60)
    refreshed = await world.refresh(tokens["refresh_token"])
    world.clock.advance(seconds=60)
    answer = await world.get("/v1/sessions/current", refreshed)
    assert answer.status_code == 200
    assert answer.json() == {
        **tokens["session"],
        "last_used_at": tokens["server_time"] + 60,
        "user": tokens["user"],
    }


async def test_me_is_the_user_of_the_login(world: RunningApp) -> None:
    tokens = await world.log_in()
    answer = await world.get("/v1/me", tokens)
    assert answer.status_code == 200
    assert answer.json() == tokens["user"]


async def test_logging_out_twice_is_no_error(world: RunningApp) -> None:
    tokens = await world.log_in()
    for _ in range(2):
        answer = await world.log_out(tokens)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "Content-Type" not in answer.headers


async def test_a_logout_ends_this_session_and_no_other(world: RunningApp) -> None:
    tokens, other = await world.log_in(), await world.log_in()
    await world.log_out(tokens)
    assert (await world.get("/v1/me", tokens)).json()["reason"] == "logged_out"
    assert (await world.try_refresh(tokens["refresh_token"])).json()["reason"] == "logged_out"
    assert (await world.get("/v1/me", other)).status_code == 200


async def test_the_scheme_is_read_in_any_case(world: RunningApp) -> None:
    token = (await world.log_in())["access_token"]
    for scheme in ("bearer", "BEARER"):
        answer = await world.phone.get("/v1/me", headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == 200


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dTpw", "Token a", "Bearer\ta"])
async def test_what_is_no_bearer_is_no_credential(phone: httpx.AsyncClient, value: str) -> None:
    answer = await phone.get("/v1/me", headers={"Authorization": value})
    assert (answer.status_code, answer.json()["code"]) == (401, "access_token_missing")


@pytest.mark.parametrize("value", [b"Bearer  two", b"Bearer a b", b"Bearer a,b", b"Bearer \xff"])
async def test_what_is_no_token_is_not_taken_for_one(
    phone: httpx.AsyncClient, value: bytes
) -> None:
    answer = await phone.get("/v1/me", headers={b"Authorization": value})
    assert (answer.status_code, answer.json()["code"]) == (401, "access_token_invalid")


async def test_of_two_credentials_none_is_chosen(world: RunningApp) -> None:
    good = bearer(await world.log_in())
    for second in (good, {"Authorization": "Basic dTpw"}):
        headers = [*good.items(), *second.items()]
        answer = await world.phone.get("/v1/me", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "access_token_invalid")


async def test_a_refresh_token_is_no_access_token(world: RunningApp) -> None:
    tokens = await world.log_in()
    answer = await world.get("/v1/me", {"access_token": tokens["refresh_token"]})
    assert (answer.status_code, answer.json()["code"]) == (401, "access_token_invalid")


async def test_an_expired_token_cannot_log_out(world: RunningApp) -> None:
    tokens = await world.log_in()
    world.clock.advance(minutes=10)
    assert (await world.log_out(tokens)).json()["code"] == "access_token_expired"
    assert (await world.refresh(tokens["refresh_token"]))["outcome"] == "rotated"
