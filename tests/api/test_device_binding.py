"""Sessions that are bound to a device key (DPoP, RFC 9449), over HTTP.

The rules one by one: tests/sessions/test_proofs.py, and those of a session tests/stores/contract.
"""

import asyncio
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.logging_state import entries_of, logging_as_in_production
from tests.support.proofs import DeviceKey
from tests.support.running_app import ISSUER, RunningApp

LOGIN = "/v1/sessions"
KEY, OTHER_KEY = "idempotency-key-one", "idempotency-key-two"
OFF, REQUIRED = {"session_device_binding": "off"}, {"session_device_binding": "required"}


@pytest.fixture
def device(app: RunningApp) -> DeviceKey:
    """A key with a current nonce."""
    return DeviceKey(app.settings.session_issuer, nonce=app.services.proofs.new_nonce())


async def bound(app: RunningApp, device: DeviceKey) -> dict[str, Any]:
    response = await app.try_log_in(app.ticket(), None, device.proof(LOGIN))
    return app.tokens(response, 201)


async def claims_of(app: RunningApp, tokens: dict[str, Any]) -> dict[str, Any]:
    jwks = (await app.phone.get("/.well-known/jwks.json")).json()
    keys = KeySet.import_key_set(jwks)
    return jwt.decode(tokens["access_token"], keys, algorithms=["ES256"]).claims


def refused(response: httpx.Response, code: str, error: str | None = None) -> bool:
    told = response.json()
    expected = {"code": code, "client_action": "retry", "session_alive": True}
    assert response.headers["DPoP-Nonce"]
    assert {name: told.get(name) for name in expected} == expected, told
    assert told.get("error") == error
    return response.status_code == 400


INVALID = ("proof_invalid", "invalid_dpop_proof")
WORDS = {
    "required": ("proof_required",),
    "nonce": ("proof_invalid", "use_dpop_nonce"),
    **dict.fromkeys(("invalid", "other_key", "reused"), INVALID),
}


async def test_a_phone_without_a_nonce_or_a_clock_is_bound_in_the_second_attempt(
    app: RunningApp,
) -> None:
    device, ticket = DeviceKey(ISSUER), app.ticket()
    first = await app.try_log_in(ticket, KEY, device.proof(LOGIN, nonce=None))
    assert refused(first, "proof_invalid", "use_dpop_nonce")
    assert app.sandbox.state.exchanges == 0
    device.nonce = first.headers["DPoP-Nonce"]
    second = await app.try_log_in(ticket, KEY, device.proof(LOGIN))
    tokens = app.tokens(second, 201)
    assert tokens["token_type"] == "Bearer"
    assert (await claims_of(app, tokens))["cnf"] == {"jkt": device.thumbprint}
    assert (await app.get("/v1/me", tokens)).status_code == 200
    device.nonce = second.headers["DPoP-Nonce"]
    refreshed = await app.try_refresh(tokens["refresh_token"], None, device.proof())
    assert refreshed.headers["DPoP-Nonce"]
    assert (await claims_of(app, app.tokens(refreshed, 200)))["cnf"] == {"jkt": device.thumbprint}


async def test_an_app_without_a_key_sees_no_change(app: RunningApp) -> None:
    login = await app.try_log_in(app.ticket())
    refreshed = await app.try_refresh(app.tokens(login, 201)["refresh_token"])
    assert "cnf" not in await claims_of(app, app.tokens(refreshed, 200))
    assert "DPoP-Nonce" not in {*login.headers, *refreshed.headers}


async def test_a_proof_that_is_not_good_is_recorded_by_kind_and_the_session_lives(
    app: RunningApp, device: DeviceKey
) -> None:
    tokens, thief = await bound(app, device), DeviceKey(ISSUER, nonce=device.nonce)
    used = device.proof()
    rotated = await app.try_refresh(tokens["refresh_token"], KEY, used)
    refusals = {
        "required": [],
        "invalid": [device.proof(), device.proof()],
        "other_key": [thief.proof()],
        "nonce": [device.proof(nonce="old")],  # is no event: each phone begins so
        "reused": [used],
    }
    with logging_as_in_production() as output:
        for kind, proofs in refusals.items():
            response = await app.try_refresh(tokens["refresh_token"], OTHER_KEY, *proofs)
            assert refused(response, *WORDS[kind])
    entries = [e for e in entries_of(output) if e["event"] == "proof_refused"]
    assert {e["session_id"] for e in entries} == {tokens["session"]["id"]}
    assert [e["kind"] for e in entries] == [kind for kind in refusals if kind != "nonce"]
    replayed = await app.try_refresh(tokens["refresh_token"], KEY, device.proof())
    assert replayed.json()["outcome"] == "replayed"
    assert replayed.json()["refresh_token"] == rotated.json()["refresh_token"]


async def test_a_live_session_is_bound_by_its_first_proof(
    app: RunningApp, device: DeviceKey
) -> None:
    tokens = await app.log_in()
    with logging_as_in_production() as output:
        upgraded = await app.try_refresh(tokens["refresh_token"], None, device.proof())
        await app.try_refresh(tokens["refresh_token"], None, device.proof())
    bindings = [e for e in entries_of(output) if e["event"] == "session_bound"]
    assert [e["session_id"] for e in bindings] == [tokens["session"]["id"]]
    assert (await claims_of(app, upgraded.json()))["cnf"] == {"jkt": device.thumbprint}
    assert refused(await app.try_refresh(upgraded.json()["refresh_token"]), "proof_required")


async def test_a_lost_login_is_told_again_only_with_a_new_proof_of_the_key(
    app: RunningApp, device: DeviceKey
) -> None:
    ticket, first, other = app.ticket(), device.proof(LOGIN), DeviceKey(ISSUER, nonce=device.nonce)
    lost = await app.try_log_in(ticket, KEY, first)
    assert refused(await app.try_log_in(ticket, KEY), "proof_required")
    assert refused(await app.try_log_in(ticket, KEY, first), *INVALID)
    assert refused(await app.try_log_in(ticket, KEY, other.proof(LOGIN)), *INVALID)
    found = await app.try_log_in(ticket, KEY, device.proof(LOGIN))
    assert found.headers["Idempotency-Replayed"] == "true"
    assert found.json()["refresh_token"] == lost.json()["refresh_token"]
    assert (await claims_of(app, found.json()))["cnf"] == {"jkt": device.thumbprint}
    assert app.sandbox.state.exchanges == 1


async def test_concurrent_logins_of_one_ticket_are_judged_each_by_its_proof(
    app: RunningApp, device: DeviceKey
) -> None:
    ticket, other = app.ticket(), DeviceKey(ISSUER, nonce=device.nonce)
    proofs = [(device.proof(LOGIN),), (device.proof(LOGIN),), (other.proof(LOGIN),), ()]
    answers = await asyncio.gather(*(app.try_log_in(ticket, KEY, *each) for each in proofs))
    assert [answer.status_code for answer in answers] == [201, 201, 400, 400]


@pytest.mark.parametrize("app", [{"rate_limit_refresh": "2/minute"}], indirect=True)
async def test_a_thief_without_the_key_cannot_use_up_the_rate_limit_of_the_owner(
    app: RunningApp, device: DeviceKey
) -> None:
    tokens = await bound(app, device)
    attempts = [await app.try_refresh(tokens["refresh_token"]) for _ in range(3)]
    assert [attempt.status_code for attempt in attempts] == [400, 400, 429]
    assert (await app.try_refresh(tokens["refresh_token"], None, device.proof())).status_code == 200


# --- SESSION_DEVICE_BINDING ---


@pytest.mark.parametrize("app", [REQUIRED], indirect=True)
async def test_every_session_needs_a_key_if_binding_is_required(
    app: RunningApp, device: DeviceKey
) -> None:
    ticket = app.ticket()
    assert refused(await app.try_log_in(ticket), "proof_required")
    assert app.sandbox.state.exchanges == 0
    algorithms = (await discovery(app))["dpop_signing_alg_values_supported"]
    assert algorithms == ["ES256", "Ed25519", "EdDSA"]
    tokens = app.tokens(await app.try_log_in(ticket, None, device.proof(LOGIN)), 201)
    assert refused(await app.try_refresh(tokens["refresh_token"]), "proof_required")


@pytest.mark.parametrize("app", [OFF], indirect=True)
async def test_proofs_are_ignored_if_binding_is_off(app: RunningApp, device: DeviceKey) -> None:
    response = await app.try_log_in(app.ticket(), None, "x", "y")
    tokens = app.tokens(response, 201)
    assert "DPoP-Nonce" not in response.headers
    assert "cnf" not in await claims_of(app, tokens)
    assert (await app.try_refresh(tokens["refresh_token"], None, "x")).status_code == 200
    assert "dpop_signing_alg_values_supported" not in await discovery(app)


async def discovery(app: RunningApp) -> dict[str, Any]:
    found: dict[str, Any] = (await app.phone.get("/.well-known/oauth-authorization-server")).json()
    return found
