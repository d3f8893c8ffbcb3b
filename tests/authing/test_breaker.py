"""The breaker: opening, closing and probes."""

import asyncio
from itertools import count

import pytest

from app.authing.resilience import FAILURE_THRESHOLD, Breaker
from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingError,
    AuthingMisconfigured,
    AuthingOverloaded,
    AuthingTimeout,
    AuthingTokenInvalid,
    AuthingUnavailable,
    AuthingUntrusted,
    Outcome,
    TicketgateError,
    TicketRejected,
)
from tests.support.fakes import IDENTITY, FakeIdentityProvider

TROUBLE = [AuthingUnavailable("http_5xx"), AuthingTimeout("deadline"), AuthingBadAnswer("bad_json")]
VERDICTS = [
    TicketRejected(2206),
    AccountBlocked(),
    AuthingMisconfigured("auth_config"),
    AuthingTokenInvalid("bad_token"),
    AuthingUntrusted("tls"),
]


class Scene:
    """A breaker, the provider behind it, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._numbers = count()
        self.authing = FakeIdentityProvider()
        self.breaker = Breaker(self.authing, monotonic=lambda: self.now)

    async def log_in(
        self, failure: TicketgateError | None = None, ticket: str = "", network: str = ""
    ) -> str:
        """Return the outcome, the code, or `ok`. Ticket and network are new by default."""
        self.authing.failure, number = failure, next(self._numbers)
        ticket, network = ticket or f"ticket {number}", network or f"network {number}"
        try:
            assert await self.breaker.exchange(ticket, network) is IDENTITY
        except AuthingError as error:
            return error.outcome
        except TicketgateError as error:
            return error.code
        return "ok"

    async def break_down(self) -> None:
        for _ in range(FAILURE_THRESHOLD):
            assert await self.log_in(TROUBLE[0]) == "http_5xx"


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("networks", [4, 20])
async def test_twenty_failures_in_a_row_open_the_breaker(
    scene: Scene, trouble: AuthingError, networks: int
) -> None:
    for number in range(20):
        assert await scene.log_in(trouble, network=f"{number % networks}") == trouble.outcome
    assert await scene.log_in() == "breaker_open"
    assert len(scene.authing.tickets) == 20


async def test_an_open_breaker_gives_the_time_of_the_next_probe(scene: Scene) -> None:
    await scene.break_down()
    for passed, wait in ((1.5, 4), (3.4, 1)):
        scene.now += passed
        with pytest.raises(AuthingUnavailable) as refusal:
            await scene.breaker.exchange("ticket", "network")
        assert refusal.value.retry_after == wait


@pytest.mark.parametrize("outcome", ["dns", "connect_refused", "connect_timeout"])
async def test_a_failure_to_connect_counts_from_one_ticket_of_one_network(
    scene: Scene, outcome: Outcome
) -> None:
    for _ in range(20):
        await scene.log_in(AuthingUnavailable(outcome), "ticket", "network")
    assert await scene.log_in() == "breaker_open"


@pytest.mark.parametrize("trouble", [*TROUBLE, AuthingBadAnswer("bad_status")])
async def test_neither_one_ticket_nor_one_network_opens_the_breaker(
    scene: Scene, trouble: AuthingError
) -> None:
    for _ in range(3 * FAILURE_THRESHOLD):
        await scene.log_in(trouble, ticket="ticket")
        await scene.log_in(trouble, network="network")
    assert await scene.log_in(trouble) == trouble.outcome
    for _ in range(FAILURE_THRESHOLD):
        await scene.log_in(trouble)
    assert await scene.log_in() == "breaker_open"


async def test_a_network_that_failed_probes_a_second_later_than_others(scene: Scene) -> None:
    for _ in range(1100):  # more than are remembered
        await scene.log_in(TROUBLE[0])
        scene.now += 5
    assert await scene.log_in(network="network 1") == "breaker_open"
    assert await scene.log_in(TROUBLE[0]) == "http_5xx"
    scene.now += 6
    assert await scene.log_in(network="network 1") == "ok"


@pytest.mark.parametrize("sign", [None, *VERDICTS])
async def test_a_verdict_of_authing_resets_the_count(
    scene: Scene, sign: TicketgateError | None
) -> None:
    for _ in range(2):
        for _ in range(FAILURE_THRESHOLD - 1):
            await scene.log_in(TROUBLE[1])
        assert await scene.log_in(sign) != "breaker_open"
    assert await scene.log_in() == "ok"


async def test_an_overload_of_ours_does_not_change_the_count(scene: Scene) -> None:
    for _ in range(FAILURE_THRESHOLD - 1):
        await scene.log_in(TROUBLE[0])
    for _ in range(FAILURE_THRESHOLD):
        assert await scene.log_in(AuthingOverloaded("bulkhead")) == "bulkhead"
    await scene.log_in(TROUBLE[0])
    assert await scene.log_in() == "breaker_open"


async def test_one_probe_is_sent_in_five_seconds(scene: Scene) -> None:
    await scene.break_down()
    for _ in range(4):
        scene.now += 4.99
        assert await scene.log_in(TROUBLE[0]) == "breaker_open"
        scene.now += 0.01
        assert await scene.log_in(TROUBLE[0]) == "http_5xx"
        assert await scene.log_in(TROUBLE[0]) == "breaker_open"
    assert len(scene.authing.tickets) == FAILURE_THRESHOLD + 4


async def test_100_logins_at_once_send_one_probe(scene: Scene) -> None:
    await scene.break_down()
    scene.now += 5
    scene.authing.gate = asyncio.Event()
    crowd = [asyncio.create_task(scene.log_in()) for _ in range(100)]
    await asyncio.sleep(0)
    scene.authing.gate.set()
    assert sorted(await asyncio.gather(*crowd)) == ["breaker_open"] * 99 + ["ok"]


@pytest.mark.parametrize("sign", [None, *VERDICTS])
async def test_an_answered_probe_closes_the_breaker(
    scene: Scene, sign: TicketgateError | None
) -> None:
    await scene.break_down()
    scene.now += 5
    await scene.log_in(sign)
    assert [await scene.log_in() for _ in range(50)] == ["ok"] * 50
    await scene.break_down()  # the count starts again
    assert await scene.log_in() == "breaker_open"


async def test_a_hanging_probe_does_not_delay_the_next(scene: Scene) -> None:
    await scene.break_down()
    scene.now += 5
    scene.authing.gate = asyncio.Event()
    hanging = asyncio.create_task(scene.log_in())
    await asyncio.sleep(0)
    scene.now += 5
    scene.authing.gate = None
    assert await scene.log_in() == "ok"
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_a_probe_without_a_verdict_leaves_the_breaker_open(scene: Scene) -> None:
    await scene.break_down()
    scene.now += 5
    assert await scene.log_in(AuthingOverloaded("bulkhead")) == "bulkhead"
    assert await scene.log_in() == "breaker_open"
    scene.now += 5
    assert await scene.log_in() == "ok"


async def test_late_failures_do_not_delay_the_probe(scene: Scene) -> None:
    scene.authing.failure = TROUBLE[1]
    scene.authing.gate = asyncio.Event()
    crowd = [asyncio.create_task(scene.log_in(TROUBLE[1])) for _ in range(64)]
    await asyncio.sleep(0)
    scene.authing.gate.set()
    await asyncio.gather(*crowd)
    scene.now += 5
    scene.authing.gate = None
    assert await scene.log_in() == "ok"
