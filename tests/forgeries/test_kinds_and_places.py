"""T1.7: every kind of credential at every place. Only the intended cells open.

What is shown at the wrong place is none the worse for it.
"""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.forgeries.target import authing_token
from tests.support.running_app import RunningApp, running_app

KINDS = ("ticket", "authing-token", "access-token", "refresh-token", "garbage")
MAX_CONCURRENT = ("login", "refresh", "logout", "me", "sessions")
CELLS = [
    pytest.param(kind, place, id=f"T1.7-{kind}-at-{place}")
    for kind, place in itertools.product(KINDS, MAX_CONCURRENT)
]
INTENDED = {
    ("ticket", "login"): 201,
    ("refresh-token", "refresh"): 200,
    ("access-token", "logout"): 204,
    ("access-token", "me"): 200,
    ("access-token", "sessions"): 200,
}
REFUSAL = {
    "login": (400, "ticket_rejected"),
    "refresh": (400, "refresh_token_invalid"),
    "logout": (401, "access_token_invalid"),
    "me": (401, "access_token_invalid"),
    "sessions": (401, "access_token_invalid"),
}

TOO_LONG = (422, "invalid_request")  # for a refresh token: not even looked at


@pytest.fixture
async def own_world(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """Each cell its own, because what opens a cell is spent by it."""
    async with running_app(tmp_path) as opened:
        yield opened


def credentials(world: RunningApp, tokens: dict[str, Any]) -> dict[str, str]:
    return {
        "ticket": world.ticket(),
        "authing-token": authing_token(world),
        "access-token": tokens["access_token"],
        "refresh-token": tokens["refresh_token"],
        "garbage": "garbage",
    }


async def bring(world: RunningApp, credential: str, place: str) -> httpx.Response:
    match place:
        case "login":
            return await world.try_log_in(credential)
        case "refresh":
            return await world.try_refresh(credential)
        case "logout":
            return await world.log_out({"access_token": credential})
    path = {"me": "/v1/me", "sessions": "/v1/sessions"}[place]
    return await world.get(path, {"access_token": credential})


async def test_there_are_25_cells_and_five_of_them_open() -> None:
    assert (len(CELLS), len(INTENDED)) == (25, 5)


@pytest.mark.parametrize(("kind", "place"), CELLS)
async def test_a_credential_opens_only_its_own_place(
    own_world: RunningApp, kind: str, place: str
) -> None:
    tokens = await own_world.log_in()
    held = credentials(own_world, tokens)
    answer = await bring(own_world, held[kind], place)
    if (kind, place) in INTENDED:
        assert answer.status_code == INTENDED[kind, place]
        return
    refusal = TOO_LONG if place == "refresh" and len(held[kind]) > 256 else REFUSAL[place]
    assert (answer.status_code, answer.json()["code"]) == refusal
    for good, status in INTENDED.items():
        if good[1] != "logout":
            assert (await bring(own_world, held[good[0]], good[1])).status_code == status
