"""Races over real processes and sockets: one instance with SQLite, and a fleet over one Valkey.

A failure is a bug and is not retried. `RACES=full` runs 50 rounds, 500 races and 4 instances;
otherwise a few of each run.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from typing import Any

import jwt
import pytest
import pytest_asyncio

from tests.soak.fleet import SERVICE_KEY, Fleet, fleet
from tests.soak.phone import LOGIN, ME, REFRESH, Answer, Line, new_ticket, telephony
from tests.support.valkey.process import ProgramMissing
from tests.support.valkey.servers import standalone

ROUNDS, RACES, INSTANCES = (50, 500, 4) if os.environ.get("RACES") == "full" else (3, 12, 2)
AT_ONCE = 100
RACES_AT_ONCE = 10
RIVALS = 4
PATIENCE = 60  # seconds


pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["alone", "fleet"])
async def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    folder = tmp_path_factory.mktemp("races")
    async with AsyncExitStack() as stack:
        shape: dict[str, Any] = {}
        if request.param == "fleet":
            try:
                valkey = stack.enter_context(standalone(folder / "valkey", appendonly=True))
            except ProgramMissing as missing:
                pytest.skip(str(missing))
            shape = {"STORE_URL": valkey.url, "instances": INSTANCES}
        processes = await stack.enter_async_context(fleet(folder, **shape))
        yield processes
    assert [service.bugs() for service in processes.services] == [0] * len(processes.services)


@pytest_asyncio.fixture(loop_scope="module")
async def lines(running: Fleet) -> AsyncIterator[tuple[Line, Line]]:
    """To the instances, each in its turn, and to their fake Authing."""
    turns = cycle(running.services)
    async with telephony(AT_ONCE) as http:
        yield Line(http, lambda: next(turns).port), Line(http, lambda: running.authing.port)


@pytest.fixture
def service(lines: tuple[Line, Line]) -> Line:
    return lines[0]


@pytest.fixture
def authing(lines: tuple[Line, Line]) -> Line:
    return lines[1]


async def test_100_concurrent_refreshes_make_one_successor(service: Line, authing: Line) -> None:
    first = await _log_in(service, await new_ticket(authing, "tabs"))
    token = first.body["refresh_token"]
    for number in range(1, ROUNDS + 1):
        responses = await _together([partial(_refresh, service, token)] * AT_ONCE)

        assert [response.status for response in responses] == [200] * AT_ONCE
        assert [a.body["outcome"] for a in responses].count("rotated") == 1
        (token,) = {response.body["refresh_token"] for response in responses}
        assert {_generation(response) for response in responses} == {number}


async def test_100_concurrent_logins_with_one_ticket_and_key_make_one_session(
    running: Fleet, service: Line, authing: Line
) -> None:
    # While one instance exchanges the ticket, another one answers 409.
    first_answers = {201} if len(running.services) == 1 else {201, 409}
    for number in range(ROUNDS):
        ticket = await new_ticket(authing, f"hasty-{number}")
        before = await _exchanges(authing)

        responses = await _together([partial(_log_in, service, ticket)] * AT_ONCE)
        assert {response.status for response in responses} <= first_answers
        told = [response for response in responses if response.status == 201]
        again = [partial(_log_in, service, ticket)] * (AT_ONCE - len(told))
        responses = told + await _together(again)

        assert [response.status for response in responses] == [201] * AT_ONCE
        assert len({response.body["session"]["id"] for response in responses}) == 1
        assert len({response.body["refresh_token"] for response in responses}) == 1
        assert await _exchanges(authing) == before + 1
        bearer = f"Bearer {responses[0].body['access_token']}"
        assert len((await _call(service, "GET", LOGIN, Authorization=bearer)).body) == 1


End = Callable[[Line, Answer], Coroutine[Any, Any, Answer]]


async def _log_out(service: Line, first: Answer) -> Answer:
    bearer = f"Bearer {first.body['access_token']}"
    return await _call(service, "DELETE", f"{LOGIN}/current", Authorization=bearer)


async def _kick(service: Line, first: Answer) -> Answer:
    path = f"/internal/v1/users/{first.body['user']['sub']}/sessions"
    return await _call(service, "DELETE", path, Authorization=f"Bearer {SERVICE_KEY}")


async def _ban(service: Line, first: Answer) -> Answer:
    path, body = f"/internal/v1/users/{first.body['user']['sub']}/ban", {"reason": "spam"}
    return await _call(service, "PUT", path, body, Authorization=f"Bearer {SERVICE_KEY}")


@pytest.mark.parametrize(
    ("end", "name"), [(_log_out, "logged_out"), (_kick, "kicked"), (_ban, "banned")]
)
async def test_every_token_is_refused_after_the_end_was_answered(
    service: Line, authing: Line, end: End, name: str
) -> None:
    lanes = asyncio.Semaphore(RACES_AT_ONCE)

    async def race(number: int) -> None:
        async with lanes:
            first = await _log_in(service, await new_ticket(authing, f"{name}-{number}"))
            given = await _race(service, first, end, after=number % 3)
            for response in given:
                token, bearer = (response.body[f"{kind}_token"] for kind in ("refresh", "access"))
                refused = await _refresh(service, token)
                assert (refused.status, refused.ending()) == (400, name)
                refused = await _call(service, "GET", ME, Authorization=f"Bearer {bearer}")
                assert (refused.status, refused.ending()) == (401, name)

    await asyncio.gather(*(race(number) for number in range(RACES)))


async def _race(service: Line, first: Answer, end: End, after: int) -> list[Answer]:
    """Refresh without a pause until the end is felt that comes in the middle of it.

    Returns every answer that held tokens.
    """
    given = [first]
    for _ in range(after):
        given += await _refresh_at_once(service, given[-1])
    ending = asyncio.create_task(end(service, first))
    async with asyncio.timeout(PATIENCE):
        while len(more := await _refresh_at_once(service, given[-1])) == RIVALS:
            given += more
    assert (await ending).status in {200, 204}
    return given + more


async def _refresh_at_once(service: Line, last: Answer) -> list[Answer]:
    """Refresh with the newest token, in parallel; the answers that came through."""
    token = last.body["refresh_token"]
    responses = await _together([partial(_refresh, service, token)] * RIVALS)
    return [response for response in responses if response.status == 200]


async def _log_in(service: Line, ticket: str) -> Answer:
    key = hashlib.sha256(ticket.encode()).hexdigest()  # the same for each try
    return await _call(service, "POST", LOGIN, {"ticket": ticket}, Idempotency_Key=key)


async def _refresh(service: Line, refresh_token: str) -> Answer:
    return await _call(service, "POST", REFRESH, {"refresh_token": refresh_token})


async def _call(line: Line, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    response = await line.call(method, path, body, **headers)
    assert response is not None, "no answer"
    return response


async def _together(requests: Sequence[Callable[[], Awaitable[Answer]]]) -> list[Answer]:
    return await asyncio.gather(*(request() for request in requests))


async def _exchanges(authing: Line) -> int:
    """How often the service has asked Authing so far."""
    stats = await _call(authing, "GET", "/sandbox/stats")
    return int(stats.body["exchanges"])


def _generation(response: Answer) -> int:
    """Which rotation an access token belongs to."""
    claims = jwt.decode(response.body["access_token"], options={"verify_signature": False})
    return int(claims["jti"].partition(".")[0])
