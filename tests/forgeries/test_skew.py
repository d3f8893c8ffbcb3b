"""T1.9: clocks that are apart. Each time limit flips at its second, at login and at the app's door.

Our own access token ends without leeway and may be issued 30 s ahead; Authing's token has 30 s on
either side.
"""

import pytest

from tests.forgeries.attacker import Attacker
from tests.forgeries.service import Gate, upstream_forge
from tests.forgeries.target import show
from tests.support.running_app import RunningApp

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = range(-120, 121, 5)
SECONDS_BESIDE_A_LIMIT = (-31, -29, -1, 1, 29, 31)
OFFSETS = sorted({*STEPS, *SECONDS_BESIDE_A_LIMIT})
CLAIMS = ("exp", "nbf", "iat")
POINTS = [
    pytest.param(claim, offset, id=f"T1.9-{claim}-{offset:+d}")
    for claim in CLAIMS
    for offset in OFFSETS
]


def times(claim: str, offset: int, now: int) -> dict[str, int]:
    """One time is so many seconds from now, the others are good."""
    return {"iat": now - 130, "exp": now + 300, claim: now + offset}


def is_within(claim: str, offset: int, *, leeway_after: int) -> bool:
    """Whether a token is good whose end, or beginning, is so many seconds from now."""
    return offset > -leeway_after if claim == "exp" else offset <= 30


async def test_there_are_49_points_for_each_claim() -> None:
    assert len(STEPS) == 49
    assert set(STEPS) <= set(OFFSETS)


@pytest.mark.parametrize(("claim", "offset"), POINTS)
async def test_an_access_token_flips_on_the_second(
    world: RunningApp, attacker: Attacker, claim: str, offset: int
) -> None:
    token = attacker.token(claims=times(claim, offset, world.clock.epoch))
    answer = await show(world, token)
    if is_within(claim, offset, leeway_after=0):
        assert answer.status_code == 200
    else:
        code = "access_token_expired" if claim == "exp" else "access_token_invalid"
        assert (answer.status_code, answer.json()["code"]) == (401, code)


@pytest.mark.parametrize(("claim", "offset"), POINTS)
async def test_authings_token_flips_on_the_second(gate: Gate, claim: str, offset: int) -> None:
    now = gate.clock.epoch
    answer = await gate.log_in(upstream_forge(now).token(claims=times(claim, offset, now)))
    if is_within(claim, offset, leeway_after=30):
        assert answer.status_code == 201
    else:
        assert (answer.status_code, answer.json()["code"]) == (502, "authing_token_invalid")
