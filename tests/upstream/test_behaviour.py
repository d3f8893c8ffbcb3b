"""Many logins during a long trouble of Authing: stall, disconnects, breaker, flapping."""

import asyncio
import random
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from app.authing.resilience import FAILURE_THRESHOLD, MAX_CONCURRENT, PROBE_INTERVAL
from tests.authing.builders import Answer, Request, http_response, json_response
from tests.support.processes import free_port
from tests.upstream.fault_server import GOOD
from tests.upstream.faulty_authing import GRACE, FaultyAuthing, Reply, faulty_authing

Outcomes: TypeAlias = Callable[[], list[str]]
Exchanges: TypeAlias = Callable[[], list[dict[str, Any]]]

HANGS = Answer(b"", "hang")
IS_DOWN = http_response("<!doctype html>", status=502, content_type="text/html")
FLAPPING = (
    HANGS,
    IS_DOWN,
    Answer(b"", "close"),
    Answer(GOOD[:-50], "reset"),
    Answer(drip=GOOD),
    http_response("{"),
    json_response({"code": 429}, status=429),
    http_response("<!doctype html>", content_type="text/html"),
)
TROUBLE = {(502, "authing_bad_answer"), (503, "authing_timeout"), (503, "authing_unavailable")}


async def exposition(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return text


async def log_in_each(
    authing: FaultyAuthing, tickets: list[str], address: str | None = None
) -> list[Reply]:
    return list(await asyncio.gather(*(authing.log_in(ticket, address) for ticket in tickets)))


def tickets(name: str, how_many: int) -> list[str]:
    return [f"{name}.ticket_{number}~" for number in range(how_many)]


def percentile_95(figures: list[float]) -> float:
    """Return the 95th percentile, because a busy machine may delay the rest."""
    return statistics.quantiles(figures, n=20)[-1]


async def test_a_stall_delays_only_the_first_128_logins(
    tmp_path: Path, outcomes: Outcomes, exchanges: Exchanges
) -> None:
    port = free_port()
    async with faulty_authing(tmp_path, timeout=60, metrics_port=port) as authing:
        refresh_token = (await authing.log_in("early.ticket_1~")).body["refresh_token"]
        authing.server.response = HANGS
        stuck = asyncio.create_task(log_in_each(authing, tickets("stuck", MAX_CONCURRENT)))
        while len(authing.server.peer.requests) < 1 + MAX_CONCURRENT:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.01)

        refused, refreshes = [], []
        for some in range(0, 436, 4):
            refused += await log_in_each(authing, tickets(f"crowd{some}", 4))
            refreshes.append(await authing.refresh(refresh_token))
            refresh_token = refreshes[-1].body["refresh_token"]

        assert {(r.status, r.body["code"], r.body["retry_after"]) for r in refused} == {
            (503, "authing_overloaded", 2)
        }
        assert {r.response.headers["Retry-After"] for r in refused} == {"2"}
        assert Counter(outcomes()) == {"ok": 1, "bulkhead": 436}
        waits = [each["duration_ms"] for each in exchanges()]
        assert percentile_95(waits) < 100
        assert {(r.status, r.body["outcome"]) for r in refreshes} == {(200, "rotated")}
        assert percentile_95([r.seconds for r in refreshes]) < 0.1
        counted = await exposition(port)
        assert 'ticketgate_exchanges_total{outcome="bulkhead"} 436.0' in counted

        await authing.repair()
        assert {reply.body["code"] for reply in await stuck} == {"authing_unavailable"}
        assert await authing.sessions() == 1


async def test_phones_that_disconnect_leave_every_slot_usable(
    tmp_path: Path, outcomes: Outcomes
) -> None:
    choices = random.Random(22)  # noqa: S311  # no secret
    async with faulty_authing(tmp_path, timeout=60) as authing:
        authing.server.response = Answer(GOOD, pause=0.02)
        for some in range(0, 300, 50):
            logins = [
                asyncio.create_task(authing.log_in(ticket)) for ticket in tickets(f"gone{some}", 50)
            ]
            for login in logins:
                asyncio.get_running_loop().call_later(choices.uniform(0, 0.1), login.cancel)
            await asyncio.gather(*logins, return_exceptions=True)

        replies = await log_in_each(authing, tickets("here", 20))

        assert [reply.status for reply in replies] == [201] * 20
        assert set(outcomes()) == {"ok"}  # a login is finished although its phone has disconnected


async def test_the_breaker_opens_probes_and_closes(
    tmp_path: Path, outcomes: Outcomes, exchanges: Exchanges
) -> None:
    async with faulty_authing(tmp_path, metrics_port=(port := free_port())) as authing:
        refresh_token = (await authing.log_in("early.ticket_1~")).body["refresh_token"]
        authing.server.response = IS_DOWN
        await log_in_each(authing, tickets("failing", FAILURE_THRESHOLD))
        seen = len(authing.server.peer.requests)

        for reply in await log_in_each(authing, tickets("refused", 50)):
            assert (reply.status, reply.body["code"]) == (503, "authing_unavailable")
            assert reply.body["retry_after"] == 5
        assert outcomes()[-50:] == ["breaker_open"] * 50
        assert statistics.median(each["duration_ms"] for each in exchanges()[-50:]) < 5
        assert (await authing.refresh(refresh_token)).status == 200

        for _ in range(2):
            authing.app.clock.advance(seconds=PROBE_INTERVAL)
            await log_in_each(authing, tickets("probing", 30))
        assert len(authing.server.peer.requests) == seen + 2

        await authing.repair()
        assert (await authing.log_in("refused.ticket_1~")).body["code"] == "authing_unavailable"
        authing.app.clock.advance(seconds=PROBE_INTERVAL)
        assert (await authing.log_in("refused.ticket_1~")).status == 201
        replies = await log_in_each(authing, tickets("probing", 30))
        assert {reply.status for reply in replies} == {201}
        assert 'exchanges_total{outcome="breaker_open"} 109.0' in await exposition(port)


@pytest.mark.parametrize(
    "fault", [IS_DOWN, HANGS, json_response({}, status=400)], ids=["5xx", "hang", "4xx"]
)
async def test_junk_tickets_of_one_address_do_not_refuse_the_logins_of_others(
    tmp_path: Path, fault: bytes | Answer
) -> None:
    async with faulty_authing(tmp_path, timeout=2) as authing:
        authing.server.peer.says = lambda request: fault if b"junk" in request.body else GOOD
        junk = asyncio.create_task(log_in_each(authing, tickets("junk", 150), "192.0.2.66"))
        for ticket in tickets("early", 10):
            assert (await authing.log_in(ticket)).status == 201
            await asyncio.sleep(0.05)
        assert 201 not in {reply.status for reply in await junk}
        assert (await authing.log_in("late.ticket~")).status == 201


@pytest.mark.long
async def test_a_flapping_authing_gives_only_known_errors_and_uses_no_ticket(
    tmp_path: Path, outcomes: Outcomes
) -> None:
    choices = random.Random(24)  # noqa: S311  # no secret

    def flaps(_request: Request) -> bytes | Answer:
        return choices.choice(FLAPPING) if choices.random() < 0.3 else GOOD

    async with faulty_authing(tmp_path) as authing:
        authing.server.peer.says = flaps
        brought = tickets("flapping", 100)
        logins = []
        for ticket in brought:
            logins.append(asyncio.create_task(authing.log_in(ticket)))
            await asyncio.sleep(0.01)
        replies = await asyncio.gather(*logins)

        failed = [reply for reply in replies if reply.status != 201]
        assert len(failed) > 10
        assert {(reply.status, reply.body["code"]) for reply in failed} == TROUBLE
        assert percentile_95([r.seconds for r in replies]) < authing.timeout + GRACE
        assert await authing.sessions() == 100 - len(failed)

        authing.server.peer.says = lambda _request: GOOD
        again = [
            ticket for ticket, reply in zip(brought, replies, strict=True) if reply.status != 201
        ]
        assert {reply.status for reply in await log_in_each(authing, again)} == {201}
        assert await authing.sessions() == 100
