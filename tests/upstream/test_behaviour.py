"""Many logins during a long trouble of Authing: stall, disconnects, breaker."""

import asyncio
import random
import statistics
from collections import Counter
from pathlib import Path

import pytest

from app.authing.resilience import FAILURE_THRESHOLD, MAX_CONCURRENT, PROBE_INTERVAL
from tests.authing.builders import Answer, http_response, json_response
from tests.support.processes import free_port, until
from tests.upstream.faulty_authing import GOOD, faulty_authing

HANGS = Answer(b"", "hang")
IS_DOWN = http_response("<!doctype html>", status=502, content_type="text/html")


async def exposition(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return text


def tickets(name: str, how_many: int) -> list[str]:
    return [f"{name}.ticket_{number}~" for number in range(how_many)]


def percentile_95(figures: list[float]) -> float:
    """Return the 95th percentile, because a busy machine may delay the rest."""
    return statistics.quantiles(figures, n=20)[-1]


async def test_a_stall_delays_only_the_first_128_logins(tmp_path: Path) -> None:
    port = free_port()
    async with faulty_authing(tmp_path, timeout=60, metrics_port=port) as authing:
        refresh_token = (await authing.log_in("early.ticket_1~")).json()["refresh_token"]
        authing.server.response = HANGS
        stuck = asyncio.create_task(authing.log_in_each(tickets("stuck", MAX_CONCURRENT)))
        await until(lambda: len(authing.server.peer.requests) == 1 + MAX_CONCURRENT)

        refused, refreshes = [], []
        for some in range(0, 436, 4):
            refused += await authing.log_in_each(tickets(f"crowd{some}", 4))
            refreshes.append(await authing.app.try_refresh(refresh_token))
            refresh_token = refreshes[-1].json()["refresh_token"]

        assert {(r.status_code, r.json()["code"], r.headers["Retry-After"]) for r in refused} == {
            (503, "authing_overloaded", "2")
        }
        assert Counter(authing.outcomes()) == {"ok": 1, "bulkhead": 436}
        assert percentile_95([each["duration_ms"] for each in authing.exchanges()]) < 100
        assert {(r.status_code, r.json()["outcome"]) for r in refreshes} == {(200, "rotated")}
        assert percentile_95([r.elapsed.total_seconds() for r in refreshes]) < 0.1
        counted = await exposition(port)
        assert 'ticketgate_exchanges_total{outcome="bulkhead"} 436.0' in counted

        await authing.repair()
        assert {reply.json()["code"] for reply in await stuck} == {"authing_unavailable"}
        assert await authing.sessions() == 1


async def test_phones_that_disconnect_leave_every_slot_usable(tmp_path: Path) -> None:
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

        replies = await authing.log_in_each(tickets("here", 20))

        assert [reply.status_code for reply in replies] == [201] * 20
        assert set(authing.outcomes()) == {"ok"}  # a disconnect does not end a login


async def test_the_breaker_opens_probes_and_closes(tmp_path: Path) -> None:
    async with faulty_authing(tmp_path, metrics_port=(port := free_port())) as authing:
        refresh_token = (await authing.log_in("early.ticket_1~")).json()["refresh_token"]
        authing.server.response = IS_DOWN
        await authing.log_in_each(tickets("failing", FAILURE_THRESHOLD))
        seen = len(authing.server.peer.requests)

        refused = await authing.log_in_each(tickets("refused", 50))
        assert {(r.status_code, r.json()["code"], r.headers["Retry-After"]) for r in refused} == {
            (503, "authing_unavailable", "5")
        }
        assert authing.outcomes()[-50:] == ["breaker_open"] * 50
        assert statistics.median(each["duration_ms"] for each in authing.exchanges()[-50:]) < 5
        assert (await authing.app.try_refresh(refresh_token)).status_code == 200

        for _ in range(2):
            authing.app.clock.advance(seconds=PROBE_INTERVAL)
            await authing.log_in_each(tickets("probing", 30))
        assert len(authing.server.peer.requests) == seen + 2

        await authing.repair()
        assert (await authing.log_in("refused.ticket_1~")).json()["code"] == "authing_unavailable"
        authing.app.clock.advance(seconds=PROBE_INTERVAL)
        replies = await authing.log_in_each(["refused.ticket_1~"])
        replies += await authing.log_in_each(tickets("probing", 30))
        assert {reply.status_code for reply in replies} == {201}
        assert 'exchanges_total{outcome="breaker_open"} 109.0' in await exposition(port)


@pytest.mark.parametrize(
    "fault", [IS_DOWN, HANGS, json_response({}, status=400)], ids=["5xx", "hang", "4xx"]
)
async def test_junk_tickets_of_one_address_do_not_refuse_the_logins_of_others(
    tmp_path: Path, fault: bytes | Answer
) -> None:
    async with faulty_authing(tmp_path, timeout=2) as authing:
        authing.server.peer.says = lambda request: fault if b"junk" in request.body else GOOD
        junk = asyncio.create_task(authing.log_in_each(tickets("junk", 150), "192.0.2.66"))
        for ticket in tickets("early", 10):
            assert (await authing.log_in(ticket)).status_code == 201
            await asyncio.sleep(0.05)
        assert 201 not in {reply.status_code for reply in await junk}
        assert (await authing.log_in("late.ticket~")).status_code == 201
