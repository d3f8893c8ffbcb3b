"""What Authing did: every way an exchange can end is logged by one word and remembered."""

import asyncio
from typing import Any

import pytest

from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingTimeout,
    AuthingUntrusted,
    TicketgateError,
    TicketRejected,
)
from app.sessions.models import Identity
from app.telemetry.upstream import InstrumentedIdentityProvider
from tests.support.fakes import IDENTITY, FakeIdentityProvider

TICKET = "made-up-ticket"


class Log(list[tuple[str, dict[str, Any]]]):
    def __call__(self, event: str, **fields: Any) -> None:
        self.append((event, fields))


class Broken:
    """An identity provider with a bug."""

    async def exchange(self, ticket: str) -> Identity:
        raise ZeroDivisionError


class Stuck:
    """An identity provider that never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def exchange(self, ticket: str) -> Identity:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
def log() -> Log:
    return Log()


def assert_logged(log: Log, outcome: str) -> None:
    ((event, fields),) = log
    assert event == "exchange"
    assert fields.keys() == {"outcome", "duration_ms"}
    assert fields["outcome"] == outcome
    assert 0 <= fields["duration_ms"] < 10_000


async def test_an_exchange_that_succeeds_is_passed_on_and_noted(log: Log) -> None:
    inner = FakeIdentityProvider()
    observed = InstrumentedIdentityProvider(inner, log)
    assert observed.state == "unknown"

    identity = await observed.exchange(TICKET)

    assert identity is IDENTITY
    assert inner.tickets == [TICKET]
    assert_logged(log, "ok")
    assert observed.state == "ok"


@pytest.mark.parametrize(
    ("failure", "word"),
    [
        (TicketRejected(2206), "ticket_rejected"),
        (AccountBlocked(), "account_blocked"),
        (AuthingTimeout("deadline"), "deadline"),
        (AuthingBadAnswer("bad_json"), "bad_json"),
        (AuthingUntrusted("tls"), "tls"),
    ],
)
async def test_an_exchange_that_fails_is_noted_by_its_one_word(
    log: Log, failure: TicketgateError, word: str
) -> None:
    observed = InstrumentedIdentityProvider(FakeIdentityProvider(failure=failure), log)

    with pytest.raises(type(failure)) as caught:
        await observed.exchange(TICKET)

    assert caught.value is failure
    assert_logged(log, word)
    assert observed.state == word


async def test_an_exchange_that_is_given_up_is_noted_as_cancelled(log: Log) -> None:
    inner = Stuck()
    observed = InstrumentedIdentityProvider(inner, log)
    exchange = asyncio.create_task(observed.exchange(TICKET))
    await inner.asked.wait()

    exchange.cancel()

    with pytest.raises(asyncio.CancelledError):
        await exchange
    assert_logged(log, "cancelled")
    assert observed.state == "cancelled"


async def test_a_bug_is_not_noted_as_a_cancellation(log: Log) -> None:
    observed = InstrumentedIdentityProvider(Broken(), log)

    with pytest.raises(ZeroDivisionError):
        await observed.exchange(TICKET)

    assert_logged(log, "internal_error")


async def test_the_last_outcome_is_the_state(log: Log) -> None:
    inner = FakeIdentityProvider(failure=AuthingTimeout("deadline"))
    observed = InstrumentedIdentityProvider(inner, log)
    with pytest.raises(AuthingTimeout):
        await observed.exchange(TICKET)
    inner.failure = None

    await observed.exchange(TICKET)

    assert observed.state == "ok"
