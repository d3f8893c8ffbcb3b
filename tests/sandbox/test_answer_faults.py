"""Faults of the service's own answers."""

import time
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest

from app.commands.sandbox import refusals
from tests.support.running_app import RunningApp, bearer, phone_of

API = "/sandbox/fault"
KEY = {"Idempotency-Key": "made-up-key-of-a-login"}


def fault(kind: str, **how: float) -> dict[str, object]:
    return {"kind": kind, "of": "answers", **how}


@pytest.fixture
async def phone(app: RunningApp) -> AsyncIterator[httpx.AsyncClient]:
    """Reaches the service and the control API as in the sandbox."""
    service = app.serve(extra_routes=app.sandbox.pages)
    async with phone_of(app.sandbox.around(service, partial(refusals, app.settings))) as phone:
        yield phone


async def test_a_token_made_in_the_future_is_no_login(
    app: RunningApp, phone: httpx.AsyncClient
) -> None:
    await phone.put(API, json={"kind": "clock_ahead", "times": 1})
    refused = await phone.post("/v1/sessions", json={"ticket": app.ticket()})
    assert (refused.status_code, refused.json()["code"]) == (502, "authing_token_invalid")
    retried = await phone.post("/v1/sessions", json={"ticket": app.ticket()})
    assert retried.status_code == 201


async def test_a_dropped_answer_belongs_to_a_request_that_was_performed(
    app: RunningApp, phone: httpx.AsyncClient
) -> None:
    body = {"ticket": app.ticket()}
    await phone.put(API, json=fault("accept_then_drop", times=1))
    with pytest.raises(ConnectionResetError):
        await phone.post("/v1/sessions", json=body, headers=KEY)
    retried = await phone.post("/v1/sessions", json=body, headers=KEY)
    assert (retried.status_code, retried.headers["Idempotency-Replayed"]) == (201, "true")


@pytest.mark.parametrize(("headers", "status"), [(KEY, 201), ({}, 400)])
async def test_a_doubled_request_is_performed_twice_and_answered_once(
    app: RunningApp, phone: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    await phone.put(API, json=fault("doubled"))
    response = await phone.post("/v1/sessions", json={"ticket": app.ticket()}, headers=headers)
    assert response.status_code == status
    assert response.json().get("code", "") == ("" if headers else "ticket_used")
    assert ("Idempotency-Replayed" in response.headers) == bool(headers)


async def test_a_delayed_answer_is_whole(app: RunningApp, phone: httpx.AsyncClient) -> None:
    tokens = await app.log_in()
    await phone.put(API, json=fault("delayed", seconds=0.2))
    started = time.monotonic()
    response = await phone.get("/v1/me", headers=bearer(tokens))
    assert time.monotonic() - started >= 0.2
    assert response.json()["sub"]


@pytest.mark.parametrize(("code", "status"), [("store_unavailable", 503), ("rate_limited", 429)])
async def test_a_refusal_has_the_shape_of_the_service_and_the_given_seconds(
    app: RunningApp, phone: httpx.AsyncClient, code: str, status: int
) -> None:
    tokens = await app.log_in()
    await phone.put(API, json=fault(code, times=2, seconds=1.5))
    for _ in range(2):
        response = await phone.get("/v1/me", headers={**bearer(tokens), "Accept-Language": "zh-CN"})
        problem = response.json()
        assert (response.status_code, response.headers["Retry-After"]) == (status, "2")
        assert response.headers["content-type"] == "application/problem+json; charset=utf-8"
        assert response.headers["content-language"] == "zh"
        assert (problem["code"], problem["client_action"]) == (code, "retry_after")
        assert (problem["retry_after"], problem["session_alive"]) == (2, "unknown")
        assert problem["request_id"] == response.headers["x-request-id"]
    assert (await phone.get("/v1/me", headers=bearer(tokens))).status_code == 200
    assert (await phone.get(API)).json()["kind"] == "none"


@pytest.mark.parametrize("app", [{"cors_origins": ("capacitor://localhost",)}], indirect=True)
async def test_other_routes_and_preflights_have_no_fault(
    app: RunningApp, phone: httpx.AsyncClient
) -> None:
    await phone.put(API, json=fault("drop"))
    for path in ("/livez", "/readyz", "/sandbox/stats", "/.well-known/jwks.json"):
        assert (await phone.get(path)).status_code == 200
    asked = {"Origin": "capacitor://localhost", "Access-Control-Request-Method": "GET"}
    assert (await phone.options("/v1/me", headers=asked)).status_code == 204
    await app.log_in()  # Authing has no fault either
