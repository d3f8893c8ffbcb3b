"""Every end of an exchange is recorded with its outcome, and the last one is kept."""

import asyncio

import pytest

from app.authing.resilience import InstrumentedIdentityProvider
from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingTimeout,
    AuthingUntrusted,
    TicketgateError,
    TicketRejected,
)
from app.sessions.models import Identity
from tests.support.fakes import IDENTITY, FakeIdentityProvider, RecordedEvents

TICKET = "made-up-ticket"


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
def events() -> RecordedEvents:
    return RecordedEvents()


def assert_recorded(events: RecordedEvents, outcome: str) -> None:
    ((event, _session_id, fields),) = events.entries
    assert event == "exchange"
    assert fields.keys() == {"outcome", "duration_ms"}
    assert fields["outcome"] == outcome
    assert 0 <= int(fields["duration_ms"]) < 10_000


async def test_a_successful_exchange_is_recorded(events: RecordedEvents) -> None:
    inner = FakeIdentityProvider()
    instrumented = InstrumentedIdentityProvider(inner, events)
    assert instrumented.state == "unknown"

    identity = await instrumented.exchange(TICKET)

    assert identity is IDENTITY
    assert inner.tickets == [TICKET]
    assert_recorded(events, "ok")
    assert instrumented.state == "ok"


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
async def test_a_failed_exchange_is_recorded_with_its_outcome(
    events: RecordedEvents, failure: TicketgateError, word: str
) -> None:
    instrumented = InstrumentedIdentityProvider(FakeIdentityProvider(failure=failure), events)

    with pytest.raises(type(failure)) as caught:
        await instrumented.exchange(TICKET)

    assert caught.value is failure
    assert_recorded(events, word)
    assert instrumented.state == word


async def test_a_cancelled_exchange_is_recorded_as_cancelled(events: RecordedEvents) -> None:
    inner = Stuck()
    instrumented = InstrumentedIdentityProvider(inner, events)
    exchange = asyncio.create_task(instrumented.exchange(TICKET))
    await inner.asked.wait()

    exchange.cancel()

    with pytest.raises(asyncio.CancelledError):
        await exchange
    assert_recorded(events, "cancelled")
    assert instrumented.state == "cancelled"


async def test_a_bug_is_recorded_as_an_internal_error(events: RecordedEvents) -> None:
    instrumented = InstrumentedIdentityProvider(Broken(), events)

    with pytest.raises(ZeroDivisionError):
        await instrumented.exchange(TICKET)

    assert_recorded(events, "internal_error")


async def test_the_last_outcome_is_the_state(events: RecordedEvents) -> None:
    inner = FakeIdentityProvider(failure=AuthingTimeout("deadline"))
    instrumented = InstrumentedIdentityProvider(inner, events)
    with pytest.raises(AuthingTimeout):
        await instrumented.exchange(TICKET)
    inner.failure = None

    await instrumented.exchange(TICKET)

    assert instrumented.state == "ok"
