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


@pytest.mark.parametrize("token", ["", None, 5, "a" * 257])
async def test_a_refresh_token_is_a_text_of_bounded_length(
    phone: httpx.AsyncClient, token: object
) -> None:
    response = await phone.post("/v1/sessions/refresh", json={"refresh_token": token})
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/refresh_token"]
