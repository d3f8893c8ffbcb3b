"""U21 to U24: many logins, a long trouble, and who must not feel it."""

import asyncio
import random
import socket
import statistics
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest

from app.authing.resilience import FAILURE_THRESHOLD, MAX_CONCURRENT, PROBE_INTERVAL
from tests.authing.builders import Answer, Request, http_answer, json_answer
from tests.upstream.fault_server import GOOD
from tests.upstream.stage import GRACE, Reply, Stage, open_stage

Outcomes: TypeAlias = Callable[[], list[str]]

HANGS = Answer(b"", "hang")
IS_DOWN = http_answer("<!doctype html>", status=502, content_type="text/html")
FLAPPING = (
    HANGS,
    IS_DOWN,
    Answer(b"", "close"),
    Answer(GOOD[:-50], "reset"),
    Answer(drip=GOOD),
    http_answer("{"),
    json_answer({"code": 429}, status=429),
    http_answer("<!doctype html>", content_type="text/html"),
)
TROUBLE = {
    (502, "authing_bad_answer"),
    (503, "authing_timeout"),
    (503, "authing_unavailable"),
}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def exposition(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return text


async def log_in_each(stage: Stage, tickets: list[str]) -> list[Reply]:
    return list(await asyncio.gather(*(stage.log_in(ticket) for ticket in tickets)))


def tickets(name: str, how_many: int) -> list[str]:
    return [f"{name}.ticket_{number}~" for number in range(how_many)]


def ninety_five_percent(figures: list[float]) -> float:
    """Below it are so many; the rest may be the machine's fault."""
    return statistics.quantiles(figures, n=20)[-1]


@pytest.mark.parametrize("variant", ["U21-500-logins-while-authing-hangs"])
async def test_a_standstill_keeps_nobody_waiting_but_those_who_came_first(
    variant: str, tmp_path: Path, outcomes: Outcomes, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    async with open_stage(tmp_path, deadline=60, metrics_port=port) as stage:
        refresh_token = (await stage.log_in("early.ticket_1~")).body["refresh_token"]
        stage.authing.answer = HANGS
        stuck = asyncio.create_task(log_in_each(stage, tickets("stuck", MAX_CONCURRENT)))
        while len(stage.authing.peer.requests) < 1 + MAX_CONCURRENT:  # noqa: ASYNC110  # rings no bell
            await asyncio.sleep(0.01)

        refused, refreshes = [], []
        for some in range(0, 436, 4):
            refused += await log_in_each(stage, tickets(f"crowd{some}", 4))
            refreshes.append(await stage.refresh(refresh_token))
            refresh_token = refreshes[-1].body["refresh_token"]

        assert {(r.status, r.body["code"], r.body["retry_after"]) for r in refused} == {
            (503, "authing_overloaded", 2)
        }
        assert {r.answer.headers["Retry-After"] for r in refused} == {"2"}
        assert Counter(outcomes()) == {"ok": 1, "bulkhead": 436}
        waits = [r.__dict__["duration_ms"] for r in caplog.records if r.msg == "exchange"]
        assert ninety_five_percent(waits) < 100
        assert {(r.status, r.body["outcome"]) for r in refreshes} == {(200, "rotated")}
        assert ninety_five_percent([r.seconds for r in refreshes]) < 0.1
        counted = await exposition(port)
        assert 'ticketgate_upstream_exchange_seconds_count{outcome="bulkhead"} 436.0' in counted

        await stage.repair()
        assert {reply.body["code"] for reply in await stuck} == {"authing_unavailable"}
        assert await stage.sessions() == 1


async def test_a_crowd_that_authing_answers_is_served_to_the_last(
    tmp_path: Path, outcomes: Outcomes
) -> None:
    async with open_stage(tmp_path, deadline=60) as stage:
        stage.authing.answer = Answer(GOOD, pause=0.05)

        replies = await log_in_each(stage, tickets("crowd", 3 * MAX_CONCURRENT))

        assert {reply.status for reply in replies} == {201}
        assert Counter(outcomes()) == {"ok": 3 * MAX_CONCURRENT}


@pytest.mark.parametrize("variant", ["U22-300-phones-hang-up"])
async def test_phones_that_hang_up_leave_every_place_usable(
    variant: str, tmp_path: Path, outcomes: Outcomes
) -> None:
    choices = random.Random(22)  # noqa: S311  # no secret
    async with open_stage(tmp_path, deadline=60) as stage:
        stage.authing.answer = Answer(GOOD, pause=0.02)
        for some in range(0, 300, 50):
            logins = [
                asyncio.create_task(stage.log_in(ticket)) for ticket in tickets(f"gone{some}", 50)
            ]
            for login in logins:
                asyncio.get_running_loop().call_later(choices.uniform(0, 0.1), login.cancel)
            await asyncio.gather(*logins, return_exceptions=True)

        replies = await log_in_each(stage, tickets("here", 20))

        assert [reply.status for reply in replies] == [201] * 20
        assert set(outcomes()) == {"ok"}  # who has hung up finds the session when asking again


@pytest.mark.parametrize("variant", ["U23-open-probe-close"])
async def test_the_breaker_opens_probes_and_closes(
    variant: str, tmp_path: Path, outcomes: Outcomes, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_stage(tmp_path, metrics_port=(port := free_port())) as stage:
        refresh_token = (await stage.log_in("early.ticket_1~")).body["refresh_token"]
        stage.authing.answer = IS_DOWN
        await log_in_each(stage, tickets("failing", FAILURE_THRESHOLD))
        seen = len(stage.authing.peer.requests)

        for reply in await log_in_each(stage, tickets("refused", 50)):
            assert (reply.status, reply.body["code"]) == (503, "authing_unavailable")
            assert reply.body["retry_after"] == 5
        assert outcomes()[-50:] == ["breaker_open"] * 50
        exchanges = [r.__dict__ for r in caplog.records if r.msg == "exchange"]
        assert statistics.median(each["duration_ms"] for each in exchanges[-50:]) < 5
        assert (await stage.refresh(refresh_token)).status == 200

        for _ in range(2):
            stage.timer.now += PROBE_INTERVAL
            await log_in_each(stage, tickets("probing", 30))
        assert len(stage.authing.peer.requests) == seen + 2

        await stage.repair()
        assert (await stage.log_in("refused.ticket_1~")).body["code"] == "authing_unavailable"
        stage.timer.now += PROBE_INTERVAL
        assert (await stage.log_in("refused.ticket_1~")).status == 201
        replies = await log_in_each(stage, tickets("probing", 30))
        assert {reply.status for reply in replies} == {201}
        assert 'exchange_seconds_count{outcome="breaker_open"} 109.0' in await exposition(port)


@pytest.mark.parametrize("variant", ["U24-flapping"])
async def test_while_authing_flaps_every_answer_has_a_name_and_every_ticket_a_chance(
    variant: str, tmp_path: Path, outcomes: Outcomes
) -> None:
    choices = random.Random(24)  # noqa: S311  # no secret

    def flaps(_request: Request) -> bytes | Answer:
        return choices.choice(FLAPPING) if choices.random() < 0.3 else GOOD

    async with open_stage(tmp_path) as stage:
        stage.authing.peer.says = flaps
        brought = tickets("flapping", 100)
        logins = []
        for ticket in brought:
            logins.append(asyncio.create_task(stage.log_in(ticket)))
            await asyncio.sleep(0.01)
        replies = await asyncio.gather(*logins)

        failed = [reply for reply in replies if reply.status != 201]
        assert len(failed) > 10
        assert {(reply.status, reply.body["code"]) for reply in failed} == TROUBLE
        assert ninety_five_percent([r.seconds for r in replies]) < stage.deadline + GRACE
        assert await stage.sessions() == 100 - len(failed)

        stage.authing.peer.says = lambda _request: GOOD
        again = [
            ticket for ticket, reply in zip(brought, replies, strict=True) if reply.status != 201
        ]
        assert {reply.status for reply in await log_in_each(stage, again)} == {201}
        assert await stage.sessions() == 100
