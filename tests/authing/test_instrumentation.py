"""Every end of an exchange is recorded with its outcome, and the last one is kept."""

import asyncio

import pytest

from app.authing.resilience import InstrumentedIdentityProvider
from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingMisconfigured,
    AuthingTimeout,
    TicketRejected,
)
from app.sessions.models import Identity
from tests.support.fakes import IDENTITY, FakeIdentityProvider, RecordedEvents


class Scene(InstrumentedIdentityProvider):
    """An instrumented provider that can fail in every way."""

    def __init__(self) -> None:
        self.recorded, self.authing = RecordedEvents(), FakeIdentityProvider()
        super().__init__(self.authing, self.recorded)

    async def log_in(self, failure: Exception | None = None) -> Identity:
        self.authing.failure = failure
        return await self.exchange("made-up-ticket", "192.0.2.1")

    def assert_recorded(self, outcome: str, **members: int) -> None:
        event, _session_id, fields = self.recorded.entries[-1]
        assert event == "exchange"
        assert 0 <= int(fields.pop("duration_ms")) < 10_000
        assert fields == {"outcome": outcome, **members}
        assert self.state == outcome


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_the_last_outcome_is_the_state(scene: Scene) -> None:
    assert scene.state == "unknown"
    with pytest.raises(AuthingTimeout):
        await scene.log_in(AuthingTimeout("deadline"))
    assert await scene.log_in() is IDENTITY
    scene.assert_recorded("ok")


@pytest.mark.parametrize(
    ("failure", "outcome", "code"),
    [
        (TicketRejected(2206), "ticket_rejected", 2206),
        (AccountBlocked(2005), "account_blocked", 2005),
        (AccountBlocked(), "account_blocked", None),
        (AuthingMisconfigured("auth_config", authing_code=2002), "auth_config", 2002),
        (AuthingBadAnswer("bad_json"), "bad_json", None),
        (ZeroDivisionError(), "internal_error", None),
    ],
)
async def test_a_failed_exchange_is_recorded_with_its_outcome_and_number(
    scene: Scene, failure: Exception, outcome: str, code: int | None
) -> None:
    with pytest.raises(type(failure)) as caught:
        await scene.log_in(failure)
    assert caught.value is failure
    scene.assert_recorded(outcome, **({} if code is None else {"authing_code": code}))


async def test_a_cancelled_exchange_is_recorded_as_cancelled(scene: Scene) -> None:
    scene.authing.gate = asyncio.Event()
    exchange = asyncio.create_task(scene.log_in())
    await asyncio.sleep(0)
    exchange.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange
    scene.assert_recorded("cancelled")
