"""Forged access tokens: each is refused without cost and without any outside call."""

import socket
import time
import timeit
from contextlib import suppress

import httpx
import pytest

from app.errors import AccessTokenInvalid
from tests.forgeries import access_tokens
from tests.forgeries.any_jws import ANY_JWS
from tests.forgeries.forge import AccessForge, make_forge
from tests.sessions.builders import ACCESS_TOKENS, NOW
from tests.support.running_app import RunningApp
from tests.support.sampling import sampled

FORGE = make_forge()
MEMBERS = {
    *("type", "title", "status", "detail", "instance", "request_id"),
    *("code", "client_action", "session_alive"),
}


def test_the_watch_records_a_connection(outside_calls: list[str]) -> None:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", 1), timeout=1)
    assert "socket.connect" in outside_calls


def test_the_token_under_these_forgeries_is_genuine() -> None:
    assert ACCESS_TOKENS.verify(FORGE.ring, FORGE.token(), NOW)


@pytest.mark.parametrize("name", access_tokens.ACCESS_TOKENS)
def test_a_forged_access_token_is_refused_at_no_cost(name: str, outside_calls: list[str]) -> None:
    token = access_tokens.ACCESS_TOKENS[name](FORGE)

    def verify() -> None:
        with pytest.raises(AccessTokenInvalid):
            ACCESS_TOKENS.verify(FORGE.ring, token, NOW)

    # Processor time of the fastest of three runs; other processes do not add to it.
    seconds = min(timeit.repeat(verify, timer=time.thread_time, repeat=3, number=1))
    assert seconds < 0.005
    assert outside_calls == []


async def show(app: RunningApp, token: str) -> httpx.Response:
    """Send a bearer token of any content."""
    return await app.phone.get("/v1/me", headers={b"Authorization": b"Bearer " + token.encode()})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sampled({name: name for name in ANY_JWS}))
async def test_a_forged_access_token_is_refused_by_the_service(
    service: RunningApp, forge: AccessForge, name: str, outside_calls: list[str]
) -> None:
    assert (await show(service, forge.token())).status_code == 200
    response = await show(service, ANY_JWS[name](forge))
    problem = response.json()
    assert (response.status_code, problem["code"]) == (401, "access_token_invalid")
    assert response.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert set(problem) - {"reason"} == MEMBERS
    assert outside_calls == []
