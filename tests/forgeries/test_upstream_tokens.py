"""T1.5: 55 forged tokens of Authing, through a whole login. None of them makes a session."""

from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.forgeries.outbound import watched
from tests.forgeries.service import Gate, upstream_forge
from tests.forgeries.table import cases, counts, names
from tests.forgeries.upstream_vectors import AS_ANY_JWS, AS_AUTHINGS, TABLE, UpstreamForge

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forge(gate: Gate) -> UpstreamForge:
    answer = await gate.log_in(upstream_forge(gate.clock.epoch).token())
    return upstream_forge(gate.clock.epoch, answer.json()["access_token"])


async def test_the_table_has_55_forgeries_in_the_classes_of_the_matrix() -> None:
    assert sum(counts(AS_ANY_JWS).values()) == 37
    assert sum(counts(AS_AUTHINGS).values()) == 18
    assert len(set(names(TABLE))) == 55


async def test_what_is_under_these_forgeries_makes_a_session(
    gate: Gate, forge: UpstreamForge
) -> None:
    before = gate.sessions()
    assert (await gate.log_in(forge.token())).status_code == 201
    assert gate.sessions() == before + 1


@pytest.mark.parametrize(("name", "make"), cases("T1.5", TABLE))
async def test_a_forged_upstream_token_makes_no_session(
    gate: Gate, forge: UpstreamForge, name: str, make: Callable[[UpstreamForge], str]
) -> None:
    token, before = make(forge), gate.sessions()
    with watched() as reached_out:
        answer = await gate.log_in(token)
    assert (answer.status_code, answer.json()["code"]) == (502, "authing_token_invalid")
    assert gate.sessions() == before
    assert reached_out == []


@pytest.mark.parametrize("token", [None, "", 7, True, ["a.b.c"], {"token": "a.b.c"}], ids=repr)
async def test_a_token_that_is_absent_or_no_text_is_a_bad_answer(gate: Gate, token: Any) -> None:
    before = gate.sessions()
    answer = await gate.log_in(token)
    assert (answer.status_code, answer.json()["code"]) == (502, "authing_bad_answer")
    assert gate.sessions() == before
