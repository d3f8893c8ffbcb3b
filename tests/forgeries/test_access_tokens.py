"""T1.4: 116 forged access tokens. Each gets the one 401, costs nothing, and sends us nowhere."""

import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

from app.errors import AccessTokenExpired, AccessTokenInvalid
from tests.forgeries.access_vectors import TABLE
from tests.forgeries.attacker import Attacker
from tests.forgeries.outbound import watched
from tests.forgeries.table import cases, counts, names
from tests.forgeries.target import cpu_seconds, show
from tests.support.running_app import RunningApp

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNTS = (10, 3, 6, 1, 11, 4, 10, 4, 5, 5, 4, 6, 4, 10, 2, 4, 4, 6, 2, 5, 4, 6)
# What the contract calls by another name than access_token_invalid.
NAMED = {
    "token-missing": (401, "access_token_missing"),
    "token-empty": (401, "access_token_missing"),
    "exp-past": (401, "access_token_expired"),
    "sid-revoked": (401, "session_ended"),
    "1-mib-of-noise": (431, "header_too_large"),  # not read at all
}
ONLY_THE_STORE_KNOWS = frozenset({"sub-of-another-user", "sid-unknown", "sid-revoked"})
SHAPE = {
    *("type", "title", "status", "detail", "instance", "request_id"),
    *("code", "client_action", "session_alive"),
}
FIVE_MILLISECONDS = 0.005


async def test_the_table_has_116_forgeries_in_the_classes_of_the_matrix() -> None:
    assert tuple(counts(TABLE).values()) == COUNTS
    assert len(set(names(TABLE))) == sum(COUNTS) == 116


async def test_what_is_under_these_forgeries_is_genuine(
    world: RunningApp, attacker: Attacker
) -> None:
    assert (await show(world, attacker.token())).status_code == 200


async def test_the_watch_would_notice_a_connection() -> None:
    with watched() as reached_out, suppress(OSError):
        socket.create_connection(("127.0.0.1", 1), timeout=1)
    assert "socket.connect" in reached_out


@pytest.mark.parametrize(("name", "make"), cases("T1.4", TABLE))
async def test_a_forged_access_token_is_refused(
    world: RunningApp, attacker: Attacker, name: str, make: Callable[[Attacker], str]
) -> None:
    token = make(attacker)
    with watched() as reached_out:
        answer = await (
            world.phone.get("/v1/me") if name == "token-missing" else show(world, token)
        )
    problem = answer.json()
    status, code = NAMED.get(name, (401, "access_token_invalid"))
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert reached_out == []
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert set(problem) - {"reason"} == SHAPE


@pytest.mark.parametrize(("name", "make"), cases("T1.4", TABLE, but=ONLY_THE_STORE_KNOWS))
async def test_the_reader_alone_refuses_it_at_no_cost(
    world: RunningApp, attacker: Attacker, name: str, make: Callable[[Attacker], str]
) -> None:
    token, now = make(attacker), world.clock()
    profile = world.services.sessions.issuer.access_tokens

    def read() -> None:
        refusal = AccessTokenExpired if name == "exp-past" else AccessTokenInvalid
        with pytest.raises(refusal):
            profile.verify(attacker.ring, token, now)

    assert cpu_seconds(read) < FIVE_MILLISECONDS
