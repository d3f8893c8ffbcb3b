"""The bulkhead: its limit, its queue, and the refusal of a stalled queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from app.authing.resilience import MAX_CONCURRENT, Bulkhead
from app.errors import AuthingOverloaded, AuthingTimeout
from app.sessions.models import Identity
from tests.support.fakes import IDENTITY

Login: TypeAlias = "asyncio.Task[Identity]"


class Authing:
    """Answers the oldest exchange when the test calls `answer`."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Identity]] = []
        self.tickets: list[str] = []

    async def exchange(self, ticket: str, network: str) -> Identity:
        self.tickets.append(ticket)
        response: asyncio.Future[Identity] = asyncio.get_running_loop().create_future()
        self.waiting.append(response)
        try:
            return await response
        finally:
            if response in self.waiting:
                self.waiting.remove(response)

    async def answer(self) -> None:
        self.waiting.pop(0).set_result(IDENTITY)
        await settle()


class Sleeps:
    """Replaces sleep: each sleep ends when the test calls `take`."""

    def __init__(self) -> None:
        self._turns: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(self, _seconds: float) -> None:
        await self._turns.get()

    async def take(self, sleeps: int) -> None:
        for _ in range(sleeps):
            self._turns.put_nowait(None)
        await settle()


async def settle() -> None:
    for _ in range(40):
        await asyncio.sleep(0)


class Scene:
    def __init__(self, timeout: float) -> None:
        self.authing = Authing()
        self.sleeps = Sleeps()
        self.now = 0.0
        self.bulkhead = Bulkhead(
            self.authing, timeout=timeout, sleep=self.sleeps.sleep, monotonic=lambda: self.now
        )
        self.logins: list[Login] = []

    async def come(self, how_many: int = 1, network: str = "") -> list[Login]:
        """Log in so often from one network, or each time from another."""
        numbers = range(len(self.logins), len(self.logins) + how_many)
        logins = [
            asyncio.create_task(
                self.bulkhead.exchange(f"ticket {number}", network or f"network {number}")
            )
            for number in numbers
        ]
        self.logins += logins
        await settle()
        return logins

    async def leave(self) -> None:
        for login in self.logins:
            login.cancel()
        await asyncio.gather(*self.logins, return_exceptions=True)
        await self.sleeps.take(8)


@asynccontextmanager
async def full(seconds: float = 60) -> AsyncIterator[Scene]:
    """A bulkhead whose slots are all taken by hanging exchanges."""
    scene = Scene(seconds)
    await scene.come(MAX_CONCURRENT)
    yield scene
    await scene.leave()


def are_refused(logins: list[Login]) -> bool:
    return all(isinstance(task.exception(), AuthingOverloaded) for task in logins)


def wait(logins: list[Login]) -> bool:
    return not any(login.done() for login in logins)


async def test_a_stalled_queue_is_refused_after_eight_checks() -> None:
    async with full() as scene:
        crowd = await scene.come(436)
        await scene.sleeps.take(7)
        assert wait(crowd)
        await scene.sleeps.take(1)
        assert are_refused(crowd)
        refusal = crowd[0].exception()
        assert isinstance(refusal, AuthingOverloaded)
        assert (refusal.outcome, refusal.retry_after) == ("bulkhead", 2)
        assert len(scene.authing.tickets) == MAX_CONCURRENT == 128


@pytest.mark.parametrize(("seconds", "checks"), [(0.3, 60), (5.0, 100)])
async def test_a_queue_before_a_slow_authing_gets_twice_the_time_of_an_exchange(
    seconds: float, checks: int
) -> None:
    async with full() as scene:
        scene.now = seconds
        await scene.authing.answer()
        await scene.come()  # takes the slot
        crowd = await scene.come(300)
        await scene.sleeps.take(checks - 1)
        assert wait(crowd)
        await scene.sleeps.take(1)
        assert are_refused(crowd)


async def test_after_a_stall_logins_are_refused_at_once_until_an_exchange_ends() -> None:
    async with full() as scene:
        await scene.come()
        await scene.sleeps.take(8)
        assert are_refused(await scene.come(100))
        await scene.authing.answer()
        in_time, crowd = await scene.come(), await scene.come(10)
        assert scene.authing.tickets[-1] == "ticket 229"
        assert wait(in_time + crowd)


async def test_a_moving_queue_is_served_in_order() -> None:
    async with full() as scene:
        crowd = await scene.come(200)
        for _ in range(200):
            await scene.sleeps.take(3)
            await scene.authing.answer()
        await scene.sleeps.take(8)
        assert scene.authing.tickets == [f"ticket {number}" for number in range(328)]
        for _ in range(MAX_CONCURRENT):
            await scene.authing.answer()
        assert [login.result() for login in crowd] == [IDENTITY] * 200


async def test_every_queue_gets_the_same_time_before_it_is_refused() -> None:
    async with full() as scene:
        for _ in range(3):
            crowd = await scene.come(5)
            await scene.sleeps.take(7)
            assert wait(crowd)
            await scene.sleeps.take(1)
            assert are_refused(crowd)
            await scene.authing.answer()
            await scene.come()  # takes the slot


async def test_a_cancelled_waiter_takes_no_slot() -> None:
    async with full() as scene:
        first, second, third = await scene.come(3)
        first.cancel()
        await settle()
        await scene.authing.answer()
        assert scene.authing.tickets[-1] == "ticket 129"
        # A waiter that is cancelled at the moment it gets the slot passes it on.
        scene.authing.waiting[0].set_result(IDENTITY)
        await asyncio.sleep(0)
        third.cancel()
        await settle()
        [late] = await scene.come()
        assert scene.authing.tickets[-1] == "ticket 131"
        assert wait([second, late])


async def test_no_slot_is_lost_when_it_is_released_during_a_refusal() -> None:
    async with full() as scene:
        await scene.come(3)
        await scene.sleeps.take(7)
        scene.authing.waiting[0].set_result(IDENTITY)
        await scene.sleeps.take(1)
        for login in scene.logins:
            login.cancel()
        await settle()
        await scene.come(MAX_CONCURRENT)
        assert len(scene.authing.waiting) == MAX_CONCURRENT


async def test_a_network_holds_at_most_as_many_slots_as_are_free() -> None:
    scene = Scene(timeout=60)
    for network, slots in [("a", 64), ("b", 32), ("c", 16), ("a", 0), ("d", 8)]:
        held = len(scene.authing.tickets)
        await scene.come(100, network)
        assert len(scene.authing.tickets) - held == slots
    [fresh] = await scene.come()
    assert len(scene.authing.tickets) == 121
    assert wait([fresh])
    await scene.leave()


async def test_queued_networks_take_turns() -> None:
    async with full() as scene:
        await scene.come(40, "a")
        await scene.come(2, "b")
        for _ in range(4):
            await scene.sleeps.take(3)
            await scene.authing.answer()
        # The last free slot is for a network that has none.
        assert scene.authing.tickets[MAX_CONCURRENT:] == ["ticket 128", "ticket 168", "ticket 129"]


async def test_the_queue_of_a_network_is_served_when_its_own_exchanges_end() -> None:
    scene = Scene(timeout=60)
    await scene.come(66, "a")
    await scene.authing.answer()
    assert scene.authing.tickets[-1] == "ticket 64"
    await scene.leave()


async def test_a_waiter_may_disconnect_at_the_moment_of_its_refusal() -> None:
    async with full() as scene:
        first, second = await scene.come(2)
        await scene.sleeps.take(7)
        refusal = asyncio.create_task(scene.sleeps.take(1))
        await asyncio.sleep(0)
        first.cancel()
        await refusal
        assert first.cancelled()
        assert are_refused([second])


async def test_the_timeout_covers_the_queue_and_the_exchange() -> None:
    async with full(seconds=0.2) as scene:
        started = asyncio.get_running_loop().time()
        [login] = await scene.come()
        await scene.authing.answer()
        with pytest.raises(AuthingTimeout):
            await login
        assert asyncio.get_running_loop().time() - started < 1


@pytest.mark.parametrize("failure", [AuthingTimeout("deadline"), ZeroDivisionError()])
async def test_a_failed_exchange_releases_its_slot(failure: Exception) -> None:
    scene = Scene(timeout=60)
    for _ in range(2 * MAX_CONCURRENT):
        [login] = await scene.come()
        scene.authing.waiting[0].set_exception(failure)
        with pytest.raises(type(failure)):
            await login
