"""A user's path over real sockets: login, refresh, crash, logout."""

import signal
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.commands.environment import ISSUER, POOL_ID
from tests.e2e.conftest import Authing, Serve
from tests.support.processes import ROOT, soon
from tests.test_config import filled

KEY = "0198a1c2-3d4e-7f50-8a6b-7c8d9e0f1a2b"
ALGORITHMS = ["ES256", "EdDSA", "RS256"]


def verified(access_token: str, jwks: Any) -> jwt.Token:
    """Verify a token as another service would: by the published keys alone."""
    token = jwt.decode(access_token, KeySet.import_key_set(jwks), algorithms=ALGORITHMS)
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": ISSUER},
        exp={"essential": True},
        sub={"essential": True},
    ).validate(token.claims)
    return token


def assert_ended(response: httpx.Response, status: int, reason: str) -> None:
    assert response.status_code == status
    assert (response.json()["code"], response.json()["reason"]) == ("session_ended", reason)
    assert response.json()["client_action"] == "relaunch_wechat"
    assert response.json()["session_alive"] is False


def test_a_session_survives_a_crash_and_ends_at_the_logout(
    serve: Serve, settings: dict[str, str], authing: Authing
) -> None:
    service = serve(**settings)

    launch = service.phone.get("/v1/launch", params={"platform": "ios"}).json()
    assert f"userPoolId={POOL_ID}" in launch["path"]
    returned = authing.mini_program("lin")
    body, headers = {"ext_msg": returned["ext_msg"]}, {"Idempotency-Key": KEY}
    lost, response = (
        service.phone.post("/v1/sessions", json=body, headers=headers) for _ in range(2)
    )
    assert (lost.status_code, response.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in lost.headers
    assert response.headers["Idempotency-Replayed"] == "true"
    tokens = response.json()
    assert tokens["session"] == lost.json()["session"]
    assert tokens["refresh_token"] == lost.json()["refresh_token"]

    jwks = service.phone.get("/.well-known/jwks.json").json()
    token = verified(tokens["access_token"], jwks)
    assert token.header["typ"] == "at+jwt"
    assert token.claims["sub"] == tokens["user"]["sub"]
    assert token.claims["sid"] == tokens["session"]["id"]

    me = service.as_bearer("GET", "/v1/me", tokens["access_token"]).json()
    assert me == tokens["user"]
    refreshed = service.refresh(tokens["refresh_token"]).json()
    assert refreshed["outcome"] == "rotated"
    assert verified(refreshed["access_token"], jwks).claims["sid"] == tokens["session"]["id"]

    service.program.kill()
    service.start()

    assert service.as_bearer("GET", "/v1/me", tokens["access_token"]).json() == me
    replayed = service.refresh(tokens["refresh_token"]).json()  # as if its answer had been lost
    assert replayed["outcome"] == "replayed"
    assert replayed["refresh_token"] == refreshed["refresh_token"]
    again = service.refresh(refreshed["refresh_token"]).json()
    assert again["outcome"] == "rotated"
    assert again["session"] == tokens["session"]
    assert again["user"] == me
    verified(again["access_token"], jwks)

    logout = service.as_bearer("DELETE", "/v1/sessions/current", again["access_token"])
    assert logout.status_code == 204
    assert_ended(service.refresh(again["refresh_token"]), 400, "logged_out")
    assert_ended(service.as_bearer("GET", "/v1/me", again["access_token"]), 401, "logged_out")


def test_a_copy_of_the_example_with_the_required_settings_serves_and_drains(
    serve: Serve, settings: dict[str, str], authing: Authing, tmp_path: Path
) -> None:
    example = (ROOT / ".env.example").read_text()
    (tmp_path / ".env").write_text(filled(example, settings))
    service = serve(AUTHING_BASE_URL=authing.url, DRAIN_DELAY="2")
    assert service.phone.get("/readyz").json()["checks"]["draining"] == "no"

    service.program.send(signal.SIGTERM)
    soon(lambda: service.phone.get("/readyz").status_code == 503)

    checks = service.phone.get("/readyz").json()["checks"]
    assert checks == {"store": "ok", "keys": "ok", "secrets": "ok", "draining": "yes"}
    assert service.phone.get("/livez").status_code == 200
    assert service.log_in(authing.ticket())
    assert service.program.wait() == 0
    assert (tmp_path / "data" / "sessions.db").exists()
    assert service.logged()[-1]["event"] == "stopped"
    assert service.program.err == ""


def test_the_sandbox_gives_a_session_in_three_steps_and_keeps_it_over_a_restart(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("WHAT=for another program, or for production\n")
    service = serve("sandbox")
    assert f"{service.url}/sandbox" in service.program.line_with("In a browser")

    ticket = service.phone.post("/sandbox/tickets").json()["ticket"]
    tokens = service.log_in(ticket)
    me = service.as_bearer("GET", "/v1/me", tokens["access_token"]).json()

    assert me["nickname"] == "林小满"
    assert service.phone.get("/docs").status_code == 200
    assert service.phone.get("/sandbox").status_code == 200
    assert (tmp_path / "sandbox-data" / "keys.json").exists()
    metadata = service.phone.get("/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == service.url

    service.program.send(signal.SIGTERM)
    assert service.program.wait() == 0
    assert service.program.err == ""
    service.settings |= {"AUTHING_USER_POOL_ID": "production", "SESSION_KEYS_FILE": "none.json"}
    service.start()

    assert service.refresh(tokens["refresh_token"]).json()["outcome"] == "rotated"
    assert service.log_in(service.phone.post("/sandbox/tickets").json()["ticket"])
