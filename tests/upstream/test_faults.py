"""Whatever goes wrong at Authing, the app gets a named answer in time, and can go on from there.

One test a variant of the table, called by its name there: `pytest -k U7-` runs the dripping ones.
The variants of U21 to U24 are in test_behaviour, those of U25 in test_environment.
"""

import socket
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.upstream.answer_faults import ANSWER_FAULTS
from tests.upstream.fault import WELCOME, Fault, Told
from tests.upstream.stage import GRACE, Reply, Stage, open_stage
from tests.upstream.wire_faults import WIRE_FAULTS

TICKET = "made-up.ticket_1~"
FAULTS = (*WIRE_FAULTS, *ANSWER_FAULTS)
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
    assert reply.status == told.status, reply.answer.text
    assert reply.body["code"] == told.code
    assert reply.body["client_action"] == told.client_action
    assert reply.body.get("retry_after") == told.retry_after
    header = None if told.retry_after is None else str(told.retry_after)
    assert reply.answer.headers.get("Retry-After") == header


async def strike(fault: Fault, stage: Stage) -> int:
    """Have it happen; return how many requests Authing has seen until then."""
    await fault.strike(stage)
    return len(stage.authing.peer.requests)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.told != WELCOME], ids=str)
async def test_trouble_has_a_name_and_an_end(
    fault: Fault, tmp_path: Path, outcomes: Callable[[], list[str]]
) -> None:
    if fault.host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 on its loopback interface")
    async with open_stage(
        tmp_path,
        host=fault.host.replace("localhost", "127.0.0.1"),
        base_url="http://localhost:PORT" if fault.host == "localhost" else fault.base_url,
        tls=fault.tls,
        deadline=fault.deadline,
    ) as stage:
        seen, sessions = await strike(fault, stage), await stage.sessions()
        memory = pages()

        reply = await stage.log_in(TICKET)

        assert_told(reply, fault.told)
        assert reply.seconds < stage.deadline + GRACE
        assert outcomes()[-1] == fault.told.outcome
        assert len(stage.authing.peer.requests) - seen == fault.asked  # nothing is sent twice
        assert stage.bystander.connections == 0
        assert await stage.sessions() == sessions
        assert pages() - memory < 2560  # 10 MB

        await stage.repair()
        again = await stage.log_in(TICKET)

        if fault.mends:
            assert again.status == 201, again.answer.text
            assert await stage.sessions() == sessions + 1
        else:
            assert_told(again, fault.told)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.told == WELCOME], ids=str)
async def test_an_answer_of_another_era_is_none_the_worse(
    fault: Fault, tmp_path: Path, outcomes: Callable[[], list[str]]
) -> None:
    async with open_stage(tmp_path) as stage:
        await fault.strike(stage)

        reply = await stage.log_in(TICKET)

        assert reply.status == 201, reply.answer.text
        assert outcomes() == ["ok"]
        assert await stage.sessions() == 1


VARIANTS = Counter(U1=3, U2=2, U3=2, U4=5, U5=2, U6=1, U7=2, U8=3, U9=6, U10=12) + Counter(
    U11=4, U12=4, U13=6, U14=8, U15=8, U16=8, U17=5, U18=3, U19=4, U20=10
)
"""How many variants each mode of the table has; one each of U21 to U24 and four of U25 make 106."""


def test_the_table_is_complete() -> None:
    assert Counter(fault.mode for fault in FAULTS) == VARIANTS
    assert len({fault.id for fault in FAULTS}) == VARIANTS.total() == 106 - 4 - 4
