"""Sessions that are bound to a device key (DPoP, RFC 9449), over HTTP.

`tests/stores/contract/test_proofs.py` shows what a store decides, one by one.
"""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from app.sessions.proofs import DeviceBinding
from tests.support.logging_state import entries_of, logging_as_in_production
from tests.support.proofs import REFRESH, DeviceKey
from tests.support.running_app import ISSUER, RunningApp, phone_of

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


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
async def test_an_ed25519_key_binds_too(app: RunningApp, alg: str) -> None:
    key = OKPKey.generate_key("Ed25519")
    device = DeviceKey(ISSUER, key, nonce=app.services.proofs.new_nonce())
    tokens = await bound(app, device)
    proof = device.sign(device.header(alg=alg), device.claims())
    response = await app.try_refresh(tokens["refresh_token"], None, proof)
    assert (response.status_code, response.json()["outcome"]) == (200, "rotated")


async def test_an_app_without_a_key_sees_no_change(app: RunningApp) -> None:
    login = await app.try_log_in(app.ticket())
    refreshed = await app.try_refresh(app.tokens(login, 201)["refresh_token"])
    assert "cnf" not in await claims_of(app, app.tokens(refreshed, 200))
    assert "DPoP-Nonce" not in {*login.headers, *refreshed.headers}


async def test_a_thief_without_the_key_gets_no_token_and_ends_nothing(
    app: RunningApp, device: DeviceKey
) -> None:
    """The thief leads, follows, lurks, and comes with an old token, with and without a key."""
    thief = DeviceKey(ISSUER, nonce=device.nonce)
    stolen = [(await bound(app, device))["refresh_token"]]
    for days in (0, 0, 2, 0):
        app.clock.advance(days=days)
        device.nonce = thief.nonce = app.services.proofs.new_nonce()
        for token in stolen:
            for key in (None, OTHER_KEY):
                assert refused(await app.try_refresh(token, key), "proof_required")
                with_proof = await app.try_refresh(token, key, thief.proof())
                assert refused(with_proof, *INVALID)
        lost = await app.try_refresh(stolen[-1], KEY, device.proof())
        again = await app.try_refresh(stolen[-1], KEY, device.proof())
        outcomes = [response.json()["outcome"] for response in (lost, again)]
        assert outcomes == ["rotated", "replayed"]
        assert again.json()["refresh_token"] == lost.json()["refresh_token"]
        stolen.append(again.json()["refresh_token"])


async def test_a_refused_proof_is_an_event_with_its_kind_and_a_first_nonce_is_none(
    app: RunningApp, device: DeviceKey
) -> None:
    tokens, other = await bound(app, device), DeviceKey(ISSUER, nonce=device.nonce)
    proofs = ((), ("x",), (other.proof(),), (device.proof(nonce="old"),), (used := device.proof(),))
    with logging_as_in_production() as output:
        for sent in (*proofs, (used,)):
            await app.try_refresh(tokens["refresh_token"], None, *sent)
    entries = [e for e in entries_of(output) if e["event"] == "proof_refused"]
    assert {e["session_id"] for e in entries} == {tokens["session"]["id"]}
    assert [e["kind"] for e in entries] == ["required", "invalid", "other_key", "reused"]


async def test_a_live_session_is_bound_by_its_first_proof_and_never_again(
    app: RunningApp, device: DeviceKey
) -> None:
    tokens, other = await app.log_in(), DeviceKey(ISSUER, nonce=device.nonce)
    with logging_as_in_production() as output:
        upgraded = await app.try_refresh(tokens["refresh_token"], None, device.proof())
        replayed = await app.try_refresh(tokens["refresh_token"], None, device.proof())
    bindings = [e for e in entries_of(output) if e["event"] == "session_bound"]
    assert [e["session_id"] for e in bindings] == [tokens["session"]["id"]]
    assert (await claims_of(app, upgraded.json()))["cnf"] == {"jkt": device.thumbprint}
    assert replayed.json()["outcome"] == "replayed"
    token = upgraded.json()["refresh_token"]
    assert refused(await app.try_refresh(token), "proof_required")
    assert refused(await app.try_refresh(token, None, other.proof()), *INVALID)
    assert (await app.try_refresh(token, None, device.proof())).status_code == 200


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


async def test_a_changed_setting_unbinds_no_session(app: RunningApp, device: DeviceKey) -> None:
    unbound, tokens = await app.log_in(), await bound(app, device)

    async def refresh(binding: DeviceBinding, token: str, *proofs: str) -> httpx.Response:
        proof_verifier = replace(app.services.proofs, binding=binding)
        sessions = replace(app.services.sessions, proofs=proof_verifier)
        changed = app.serve(replace(app.services, proofs=proof_verifier, sessions=sessions))
        headers = [("DPoP", proof) for proof in proofs]
        async with phone_of(changed) as phone:
            return await phone.post(REFRESH, json={"refresh_token": token}, headers=headers)

    assert refused(await refresh("required", unbound["refresh_token"]), "proof_required")
    upgraded = await refresh("required", unbound["refresh_token"], device.proof())
    assert refused(await refresh("optional", upgraded.json()["refresh_token"]), "proof_required")
    unwatched = await refresh("off", tokens["refresh_token"])
    assert (await claims_of(app, unwatched.json()))["cnf"] == {"jkt": device.thumbprint}
    assert refused(await refresh("optional", unwatched.json()["refresh_token"]), "proof_required")


async def discovery(app: RunningApp) -> dict[str, Any]:
    found: dict[str, Any] = (await app.phone.get("/.well-known/oauth-authorization-server")).json()
    return found
