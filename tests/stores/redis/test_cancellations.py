"""Commands that are given up in the middle, as when an app hangs up, among commands that are not:
no reply reaches another, and no connection is lost for good.

`CANCELLATIONS` says how many; `make cancellations` does ten thousand over HTTP as well.
"""

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from app.sessions.outcomes import Active, Replayed, Rotated
from app.sessions.ports import Stores
from app.stores.redis.engine import MAX_CONCURRENT
from tests.stores.builders import NOW, rotation_of
from tests.stores.redis.opening import PATIENCE, leaks_no_connection, opened
from tests.stores.steps import add, run
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server

CANCELLED = int(os.environ.get("CANCELLATIONS", "1000"))
USERS = [f"user-{number}" for number in range(40)]
AT_ONCE = 50
LONGEST = 0.012
"""Seconds until a command is given up; a reply takes a quarter of that or more."""


class Crowd:
    """Users of one store, each with a session of the same name."""

    def __init__(self, store: Stores) -> None:
        self.store = store
        self.choices = random.Random(7)  # noqa: S311  # chance, not secrets
        self.right = 0
        self.cancelled = 0

    async def settle(self) -> None:
        await run(self.store, *(add(user, subject=user) for user in USERS))

    async def ask(self, user: str) -> None:
        """Ask for the user's session in one of three ways, and check that it is that one."""
        asked: Callable[[], Any] = self.choices.choice(
            [
                lambda: self.store.sessions.touch(user, 0, NOW),
                lambda: self.store.sessions.rotate(rotation_of(0, session_id=user)),
                lambda: self.store.sessions.active_sessions(user, NOW),
            ]
        )
        response = await asked()
        known = isinstance(response, Active | Rotated | Replayed)
        found = response.session if known else response[0]
        assert (found.id, found.subject) == (user, user)
        self.right += 1

    async def give_up(self, user: str) -> None:
        call = asyncio.ensure_future(self.ask(user))
        await asyncio.sleep(self.choices.random() * LONGEST)
        self.cancelled += call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if not call.cancelled():
            call.result()

    async def rush(self) -> None:
        while self.cancelled < CANCELLED:
            deeds = self.choices.choices([self.ask, self.give_up, self.give_up], k=AT_ONCE)
            await asyncio.gather(*(deed(self.choices.choice(USERS)) for deed in deeds))
        await asyncio.gather(*map(self.ask, USERS))


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_cancelled_commands_mix_up_no_replies_and_leak_no_connection(
    valkey: Server, proxy: Proxy
) -> None:
    async with opened(proxy.url, command_timeout=PATIENCE) as store:
        crowd = Crowd(store)
        await crowd.settle()
        proxy.delay(LONGEST / 4)
        await crowd.rush()
        await leaks_no_connection(store, proxy)
        assert crowd.right > CANCELLED / 4
    await asyncio.to_thread(proxy.wait_until, lambda: proxy.open == 0)


async def test_callers_cancelled_in_the_queue_do_not_block_others(
    store: Stores, proxy: Proxy
) -> None:
    crowd = Crowd(store)
    await crowd.settle()
    await asyncio.gather(*(crowd.ask(USERS[0]) for _ in range(MAX_CONCURRENT)))  # all are connected
    proxy.delay(None)
    first = [asyncio.ensure_future(crowd.ask(USERS[0])) for _ in range(MAX_CONCURRENT)]
    waiting = [asyncio.ensure_future(crowd.ask(USERS[0])) for _ in range(MAX_CONCURRENT)]
    await asyncio.sleep(0)
    for call in waiting:
        call.cancel()
    proxy.pass_through()
    outcomes = await asyncio.gather(*first, return_exceptions=True)
    assert outcomes == [None] * MAX_CONCURRENT
    await asyncio.gather(*(crowd.ask(USERS[0]) for _ in range(2 * MAX_CONCURRENT)))
