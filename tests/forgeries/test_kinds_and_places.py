"""Every kind of credential at every place: only its own place accepts it.

A credential that was sent to a wrong place stays valid.
"""

from typing import Any

import httpx
import pytest

from app.sandbox.authing import user_token
from app.sandbox.personas import Persona
from tests.support.running_app import RunningApp

KINDS = ("ticket", "authing-token", "access-token", "refresh-token", "garbage")
PLACES = ("login", "refresh", "logout", "me", "sessions")
INTENDED = {
    ("ticket", "login"): 201,
    ("refresh-token", "refresh"): 200,
    ("access-token", "logout"): 204,
    ("access-token", "me"): 200,
    ("access-token", "sessions"): 200,
}
REFUSAL = dict.fromkeys(PLACES, (401, "access_token_invalid")) | {
    "login": (400, "ticket_rejected"),
    "refresh": (400, "refresh_token_invalid"),
}
TOO_LONG = (422, "invalid_request")  # too long for a refresh token


def authing_token(app: RunningApp) -> str:
    state = app.sandbox.state
    token, _ = user_token(state.options, state.keys, Persona("lin"), app.clock.epoch)
    return token


def credentials(app: RunningApp, tokens: dict[str, Any]) -> dict[str, str]:
    return {
        "ticket": app.ticket(),
        "authing-token": authing_token(app),
        "access-token": tokens["access_token"],
        "refresh-token": tokens["refresh_token"],
        "garbage": "garbage",
    }


async def bring(app: RunningApp, credential: str, place: str) -> httpx.Response:
    match place:
        case "login":
            return await app.try_log_in(credential)
        case "refresh":
            return await app.try_refresh(credential)
        case "logout":
            return await app.log_out({"access_token": credential})
    path = {"me": "/v1/me", "sessions": "/v1/sessions"}[place]
    return await app.get(path, {"access_token": credential})


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_credential_is_accepted_only_in_its_own_place(
    app: RunningApp, kind: str, place: str
) -> None:
    tokens = await app.log_in()
    held = credentials(app, tokens)
    response = await bring(app, held[kind], place)
    if (kind, place) in INTENDED:
        assert response.status_code == INTENDED[kind, place]
        return
    refusal = TOO_LONG if place == "refresh" and len(held[kind]) > 256 else REFUSAL[place]
    assert (response.status_code, response.json()["code"]) == refusal
    for good, status in INTENDED.items():
        if good[1] != "logout":
            assert (await bring(app, held[good[0]], good[1])).status_code == status
