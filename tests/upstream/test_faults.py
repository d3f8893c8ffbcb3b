"""For every fault of Authing the app gets its error in time, and can go on afterwards.

Each row of the table is one test with its name: `pytest -k drip-` runs the dripping responses.
"""

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest

from app.errors import Outcome
from tests.upstream.fault import WELCOME, Fault, Told
from tests.upstream.faults import FAULTS
from tests.upstream.faulty_authing import GRACE, FaultyAuthing, Reply, faulty_authing

TICKET = "made-up.ticket_1~"
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
MEMORY = Path("/proc/self/statm")


def pages() -> int:
    return int(MEMORY.read_text().split()[1]) if MEMORY.exists() else 0


def has_ipv6() -> bool:
    try:
        with closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def assert_told(reply: Reply, told: Told) -> None:
    assert reply.status == told.status, reply.response.text
    assert reply.body["code"] == told.code
    assert reply.body["client_action"] == told.client_action
    assert reply.body.get("retry_after") == told.retry_after
    header = None if told.retry_after is None else str(told.retry_after)
    assert reply.response.headers.get("Retry-After") == header


async def strike(fault: Fault, authing: FaultyAuthing) -> int:
    """Make the fault; return the number of requests that Authing has received so far."""
    await fault.strike(authing)
    return len(authing.server.peer.requests)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.told != WELCOME], ids=str)
async def test_a_fault_gives_its_error_and_the_ticket_works_afterwards(
    fault: Fault, tmp_path: Path, outcomes: Callable[[], list[str]]
) -> None:
    if fault.host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 on its loopback interface")
    async with faulty_authing(
        tmp_path,
        host=fault.host.replace("localhost", "127.0.0.1"),
        base_url="http://localhost:PORT" if fault.host == "localhost" else fault.base_url,
        tls=fault.tls,
        timeout=fault.timeout,
    ) as authing:
        seen, sessions = await strike(fault, authing), await authing.sessions()
        memory = pages()

        reply = await authing.log_in(TICKET)

        assert_told(reply, fault.told)
        assert reply.seconds < authing.timeout + GRACE
        assert outcomes()[-1] == fault.told.outcome
        assert len(authing.server.peer.requests) - seen == fault.asked  # one request only
        assert authing.bystander.connections == 0
        assert await authing.sessions() == sessions
        assert pages() - memory < 2560  # 10 MB

        await authing.repair()
        again = await authing.log_in(TICKET)

        if fault.mends:
            assert again.status == 201, again.response.text
            assert await authing.sessions() == sessions + 1
        else:
            assert_told(again, fault.told)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.told == WELCOME], ids=str)
async def test_every_known_shape_of_response_makes_a_session(
    fault: Fault, tmp_path: Path, outcomes: Callable[[], list[str]]
) -> None:
    async with faulty_authing(tmp_path) as authing:
        await fault.strike(authing)

        reply = await authing.log_in(TICKET)

        assert reply.status == 201, reply.response.text
        assert outcomes() == ["ok"]
        assert await authing.sessions() == 1


def test_each_fault_has_its_name() -> None:
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_is_explained_for_operators(outcome: str) -> None:
    assert f"`{outcome}`" in PAGE.read_text(encoding="utf-8")


def test_every_fault_has_an_outcome_of_the_set() -> None:
    refusals = {"ok", "ticket_rejected", "account_blocked"}
    assert {fault.told.outcome for fault in FAULTS} <= refusals | set(get_args(Outcome))
