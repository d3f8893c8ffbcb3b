"""The 55 forged tokens of Authing: none is accepted by the client, and none makes a session."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest
from starlette.responses import JSONResponse

from app.authing.in_process import AsgiTransport
from app.errors import AuthingTokenInvalid
from app.sandbox.personas import Persona, SigningKeys
from app.sessions.models import Identity
from tests.authing.builders import (
    EPOCH,
    POOL,
    SECRET,
    TICKET,
    UNIONID,
    USER_ID,
    authing_over,
    make_user,
)
from tests.forgeries.forge import rows
from tests.forgeries.outbound import watched
from tests.forgeries.upstream_vectors import (
    AS_ANY_JWS,
    AS_AUTHINGS,
    TABLE,
    UpstreamForge,
    upstream_forge,
)
from tests.sessions.builders import ACCESS_TOKENS, NOW, make_ring, make_session
from tests.support.running_app import POOL_ID, POOL_SECRET, RunningApp
from tests.support.sampling import sampled

ROWS = rows(TABLE)
OUR_TOKEN, _ = ACCESS_TOKENS.issue(make_ring(), make_session(), NOW)
FORGE = upstream_forge(
    {"unionid": UNIONID, "id": USER_ID, "clientId": POOL}, SECRET, EPOCH, OUR_TOKEN
)


async def exchange(token: str) -> Identity:
    """Exchange a ticket while Authing returns this token."""
    transport = AsgiTransport(JSONResponse(make_user(token=token)))
    async with authing_over(transport) as client:
        return await client.exchange(TICKET)


async def test_the_table_has_55_forgeries() -> None:
    assert [sum(map(len, each.values())) for each in (AS_ANY_JWS, AS_AUTHINGS)] == [37, 18]
    assert len(ROWS) == 55


async def test_the_client_accepts_the_token_under_these_forgeries() -> None:
    assert (await exchange(FORGE.token())).subject == USER_ID


@pytest.mark.parametrize("name", ROWS)
async def test_a_forged_token_of_authing_is_refused_by_the_client(name: str) -> None:
    token = ROWS[name](FORGE)
    with watched() as outside_calls, pytest.raises(AuthingTokenInvalid):
        await exchange(token)
    assert outside_calls == []


# --- through a whole login ---


class Forger(SigningKeys):
    """Makes the sandbox return `token`, instead of signing one."""

    token = ""

    def hs256(self, _claims: object) -> str:
        return self.token


async def log_in_with(service: RunningApp, make: Callable[[UpstreamForge], str]) -> httpx.Response:
    """Log in while the sandbox returns a forged token of the user."""
    ours = (await service.log_in())["access_token"]
    person, keys = Persona("lin"), service.sandbox.state.keys
    data = {"unionid": person.unionid, "id": person.user_id, "clientId": POOL_ID}
    forge = upstream_forge(data, POOL_SECRET, service.clock.epoch, ours)
    service.sandbox.state.keys = forger = Forger("")
    forger.token = make(forge)
    try:
        return await service.try_log_in(service.ticket())
    finally:
        service.sandbox.state.keys = keys


def sessions(service: RunningApp) -> int:
    with closing(sqlite3.connect(service.store_file)) as database:
        [number] = database.execute("SELECT count(*) FROM sessions").fetchone()
    return int(number)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sampled({name: name for name in ROWS}))
async def test_a_forged_token_of_authing_makes_no_session(service: RunningApp, name: str) -> None:
    assert (await log_in_with(service, UpstreamForge.token)).status_code == 201
    before = sessions(service)
    with watched() as outside_calls:
        response = await log_in_with(service, ROWS[name])
    assert (response.status_code, response.json()["code"]) == (502, "authing_token_invalid")
    assert sessions(service) == before + 1  # the login before the forged one
    assert outside_calls == []
