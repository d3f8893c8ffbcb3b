"""The 116 forged access tokens: each is refused without cost and without any outside call."""

import socket
from contextlib import suppress

import pytest

from app.errors import AccessTokenExpired, AccessTokenInvalid
from tests.forgeries.access_vectors import TABLE
from tests.forgeries.attacker import Attacker, cpu_seconds, show
from tests.forgeries.forge import rows
from tests.forgeries.outbound import watched
from tests.support.running_app import RunningApp
from tests.support.sampling import sampled

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = rows(TABLE)
COUNTS = (10, 3, 6, 1, 11, 4, 10, 4, 5, 5, 4, 6, 4, 10, 2, 4, 4, 6, 2, 5, 4, 6)
# The forgeries that have another code than access_token_invalid.
STATUS_AND_CODE = {
    "token-missing": (401, "access_token_missing"),
    "token-empty": (401, "access_token_missing"),
    "exp-past": (401, "access_token_expired"),
    "sid-revoked": (401, "session_ended"),
    "1-mib-of-noise": (431, "header_too_large"),  # refused before the token is read
}
ONLY_THE_STORE_KNOWS = ("sub-of-another-user", "sid-unknown", "sid-revoked")
THROUGH_HTTP_ALWAYS = (*STATUS_AND_CODE, *ONLY_THE_STORE_KNOWS)
MEMBERS = {
    *("type", "title", "status", "detail", "instance", "request_id"),
    *("code", "client_action", "session_alive"),
}
FIVE_MILLISECONDS = 0.005


async def test_the_table_has_116_forgeries_in_22_classes() -> None:
    assert tuple(map(len, TABLE.values())) == COUNTS
    assert len(ROWS) == sum(COUNTS) == 116


async def test_the_token_under_these_forgeries_is_genuine(
    service: RunningApp, attacker: Attacker
) -> None:
    assert (await show(service, attacker.token())).status_code == 200


async def test_the_watch_records_a_connection() -> None:
    with watched() as outside_calls, suppress(OSError):
        socket.create_connection(("127.0.0.1", 1), timeout=1)
    assert "socket.connect" in outside_calls


OTHERS = {name: name for name in ROWS if name not in THROUGH_HTTP_ALWAYS}


@pytest.mark.parametrize("name", [*THROUGH_HTTP_ALWAYS, *sampled(OTHERS)])
async def test_a_forged_access_token_is_refused_by_the_service(
    service: RunningApp, attacker: Attacker, name: str
) -> None:
    token = ROWS[name](attacker)
    with watched() as outside_calls:
        response = await (
            service.phone.get("/v1/me") if name == "token-missing" else show(service, token)
        )
    problem = response.json()
    status, code = STATUS_AND_CODE.get(name, (401, "access_token_invalid"))
    assert (response.status_code, problem["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    assert outside_calls == []
    if status == 401:
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
        assert set(problem) - {"reason"} == MEMBERS


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ONLY_THE_STORE_KNOWS])
async def test_a_forged_access_token_is_refused_by_the_codec_at_no_cost(
    service: RunningApp, attacker: Attacker, name: str
) -> None:
    token, now = ROWS[name](attacker), service.clock()
    codec = service.services.sessions.issuer.access_tokens

    def verify() -> None:
        refusal = AccessTokenExpired if name == "exp-past" else AccessTokenInvalid
        with pytest.raises(refusal):
            codec.verify(attacker.ring, token, now)

    with watched() as outside_calls:
        assert cpu_seconds(verify) < FIVE_MILLISECONDS
    assert outside_calls == []
