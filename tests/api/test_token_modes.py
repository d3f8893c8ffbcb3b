"""Logins while Authing itself verifies its tokens, with keys that this service does not know."""

import pytest

from app.sandbox.personas import Persona, SigningKeys
from tests.support.running_app import RunningApp

ONLINE = {
    "authing_token_mode": "online",
    "authing_online_url": "http://localhost/authing/token?access_token",
}


@pytest.mark.parametrize("app", [ONLINE], indirect=True)
async def test_a_pool_whose_signing_key_is_not_known_signs_in_online(app: RunningApp) -> None:
    app.sandbox.state.keys = SigningKeys("a-key-that-no-document-names-0123456789")
    assert (await app.log_in())["user"]["sub"] == Persona.named("lin").user_id
    app.break_authing("bad_token")
    response = await app.try_log_in(app.ticket())
    assert (response.status_code, response.json()["code"]) == (502, "authing_token_invalid")
