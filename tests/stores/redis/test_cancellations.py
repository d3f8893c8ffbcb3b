"""Commands that are given up in the middle, as when an app hangs up, among commands that are not:
no reply reaches another, and no connection is lost for good.

`CANCELLATIONS` says how many; `make cancellations` does ten thousand over HTTP as well.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from app.sessions.outcomes import Active, Replayed, Rotated
from app.sessions.ports import Stores
from app.sessions.tokens import new_session_id
from app.stores.redis.engine import MAX_CONCURRENT
from tests.stores.builders import NOW, keep, make_session, rotation_of
from tests.stores.redis.opening import PATIENCE, leaks_no_connection, opened
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server

CANCELLED = int(os.environ.get("CANCELLATIONS", "1000"))
USERS = 40
AT_ONCE = 50
LONGEST = 0.012
"""Seconds until a command is given up; a reply takes a quarter of that or more."""


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as chosen:
        yield chosen


class Crowd:
    """Users of one store, each with a session."""

    def __init__(self, store: Stores) -> None:
        self.store = store
        self.choices = random.Random(7)  # noqa: S311  # chance, not secrets
        self.sessions: dict[str, str] = {}
        self.right = 0
        self.cancelled = 0

    async def settle(self) -> None:
        for number in range(USERS):
            subject = f"user-{number}"
            session_id = new_session_id()
            await keep(self.store, make_session(session_id, subject=subject))
            self.sessions[subject] = session_id

    async def ask(self, subject: str) -> None:
        """Ask for the user's session in one of three ways, and check that it is that one."""
        session_id = self.sessions[subject]
        asked: Callable[[], Any] = self.choices.choice(
            [
                lambda: self.store.sessions.touch(session_id, 0, NOW),
                lambda: self.store.sessions.rotate(rotation_of(0, session_id=session_id)),
                lambda: self.store.sessions.active_sessions(subject, NOW),
            ]
        )
        response = await asked()
        found = (
            response.session if isinstance(response, Active | Rotated | Replayed) else response[0]
        )
        assert (found.id, found.subject) == (session_id, subject)
        self.right += 1

    async def give_up(self, subject: str) -> None:
        call = asyncio.ensure_future(self.ask(subject))
        await asyncio.sleep(self.choices.random() * LONGEST)
        self.cancelled += call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if not call.cancelled():
            call.result()

    async def rush(self) -> None:
        names = list(self.sessions)
        while self.cancelled < CANCELLED:
            asking = [
                self.choices.choice([self.ask, self.give_up, self.give_up])(
                    self.choices.choice(names)
                )
                for _ in range(AT_ONCE)
            ]
            await asyncio.gather(*asking)
        await asyncio.gather(*map(self.ask, names))


def test_cancelled_commands_mix_up_no_replies_and_leak_no_connection(
    valkey: Server, runner: asyncio.Runner
) -> None:
    async def scenario(proxy: Proxy) -> None:
        async with opened(proxy.url, command_timeout=PATIENCE) as store:
            crowd = Crowd(store)
            await crowd.settle()
            proxy.delay(LONGEST / 4)
            await crowd.rush()
            await leaks_no_connection(store, proxy)
            assert crowd.right > CANCELLED / 4
        await asyncio.to_thread(proxy.wait_until, lambda: proxy.open == 0)

    with Proxy(valkey.port) as proxy:
        runner.run(scenario(proxy))


async def test_callers_cancelled_in_the_queue_do_not_block_others(
    store: Stores, proxy: Proxy
) -> None:
    crowd = Crowd(store)
    await crowd.settle()
    (subject, *_) = crowd.sessions
    await asyncio.gather(*(crowd.ask(subject) for _ in range(MAX_CONCURRENT)))  # all are connected
    proxy.delay(None)
    first = [asyncio.ensure_future(crowd.ask(subject)) for _ in range(MAX_CONCURRENT)]
    waiting = [asyncio.ensure_future(crowd.ask(subject)) for _ in range(MAX_CONCURRENT)]
    await asyncio.sleep(0)
    for call in waiting:
        call.cancel()
    proxy.pass_through()
    outcomes = await asyncio.gather(*first, return_exceptions=True)
    assert outcomes == [None] * MAX_CONCURRENT
    await asyncio.gather(*(crowd.ask(subject) for _ in range(2 * MAX_CONCURRENT)))
