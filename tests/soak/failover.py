"""Fail over between two Valkeys under Sentinel: it costs seconds and no session.

Apps refresh at a steady rate while the master is killed repeatedly; the replica takes over, and the
old master returns as a replica. An app that gets 503 repeats the request with the same token.
`python -m tests.soak.failover --help` lists the options.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

import aiohttp

from tests.soak.fleet import Fleet, fleet
from tests.soak.phone import REFRESH, App, Line, Unexpected, new_ticket, telephony
from tests.soak.run import Promise, conclude, run
from tests.support.valkey.process import soon
from tests.support.valkey.servers import SentinelTrio, sentinel_trio

_APPS = 200
_UNAVAILABLE = 10.0
_LULL = 12.0
"""Seconds between failovers: Sentinels wait ten before they begin another."""


@dataclass(slots=True)
class Owner:
    """Somebody whose app refreshes now and then. `confused`: by an answer no app can expect."""

    app: App
    confused: str = ""


@dataclass(slots=True)
class RunningApp:
    """Everybody who takes part. `good` is when a refresh succeeded, by the monotonic clock."""

    running: Fleet
    http: aiohttp.ClientSession
    trio: SentinelTrio
    choices: random.Random
    rate: int
    tally: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    owners: list[Owner] = field(default_factory=list)
    good: list[float] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)

    async def settle(self) -> None:
        """Let everybody sign in."""
        authing = Line(self.http, lambda: self.running.authing.port)
        service = Line(self.http, lambda: self.running.service.port)
        for number in range(_APPS):
            choices = random.Random(self.choices.random())
            tickets = partial(new_ticket, authing, f"owner-{number}")
            self.owners.append(Owner(App(service, tickets, choices, self.tally)))
        await asyncio.gather(*(owner.app.sign_in() for owner in self.owners))

    async def run(self, failovers: int) -> None:
        """Refresh at the rate, all in all, while the failovers happen one after the other."""
        living = [asyncio.create_task(self._live(owner)) for owner in self.owners]
        for _ in range(failovers):
            await asyncio.sleep(_LULL)
            await self._fail_over()
        await asyncio.sleep(_LULL / 4)
        for life in living:
            life.cancel()
        await asyncio.gather(*living, return_exceptions=True)

    async def _live(self, owner: Owner) -> None:
        while owner.app.ended is None and not owner.confused:
            await asyncio.sleep(self.choices.expovariate(self.rate / _APPS))
            await self._refresh(owner)

    async def _refresh(self, owner: Owner) -> None:
        body = {"refresh_token": owner.app.received[-1]}
        answer = await owner.app.line.call("POST", REFRESH, body)
        self.statuses[str(answer.status) if answer else "none"] += 1
        if answer is None or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return  # again after a while, with the same token
        try:
            owner.app.take(answer)
        except Unexpected as error:
            owner.confused = str(error)
        if answer.status == HTTPStatus.OK:
            self.tally[str(answer.body["outcome"])] += 1
            self.good.append(time.monotonic())

    async def _fail_over(self) -> None:
        killed_at = time.monotonic()
        dead = await asyncio.to_thread(self.trio.kill_master)
        await asyncio.to_thread(self.trio.wait_for_failover, dead)
        await asyncio.to_thread(soon, lambda: self.good[-1] > killed_at + 1)
        around = [at for at in self.good if at > killed_at - 1]
        self.outages.append(max(later - sooner for sooner, later in pairwise(around)))
        await asyncio.to_thread(dead.start)  # a second master, until the Sentinels have told it
        await asyncio.to_thread(soon, lambda: _is_whole(self.trio))


def _is_whole(trio: SentinelTrio) -> bool:
    """Whether one is the master and the other one follows."""
    try:
        roles = sorted((server.cli("ROLE") for server in trio.pair), key=lambda role: str(role[0]))
    except OSError:
        return False
    (one, *_), (other, *_, state, _) = roles
    return (one, other, state) == ("master", "slave", "connected")


async def _last_words(world: RunningApp) -> int:
    """How many of those who think that they have a session can't use it any more."""
    for owner in world.owners:
        if owner.app.ended is None and not owner.confused:
            try:
                await owner.app.refresh()
            except Unexpected as error:
                owner.confused = str(error)
    return sum(owner.app.ended is not None for owner in world.owners)


async def _run(folder: Path, given: argparse.Namespace) -> int:
    with sentinel_trio(folder / "valkey") as trio:
        async with fleet(folder, STORE_URL=trio.url) as running, telephony() as http:
            world = RunningApp(running, http, trio, random.Random(given.seed), given.rate)
            await world.settle()
            begun = time.monotonic()
            await world.run(given.failovers)
            seconds = time.monotonic() - begun
            logged_out = await _last_words(world)
            service = running.service
            await service.stop()
    for confused in {owner.confused for owner in world.owners} - {""}:
        print("unexpected:", confused)
    facts = {
        "seed": given.seed,
        "apps": len(world.owners),
        "seconds": round(seconds),
        "refreshes a second": f"{world.statuses.total() / seconds:.0f}",
        "answers": dict(world.statuses),
        "refreshes rotated, replayed": f"{world.tally['rotated']}, {world.tally['replayed']}",
        "rotations lost, then rolled forward": service.said('"session_rolled_forward"'),
        "writes that no replica confirmed": service.said('"write_unconfirmed"'),
        "unavailable, seconds": " ".join(f"{outage:.1f}" for outage in world.outages),
    }
    promises = [
        Promise("failovers survived", len(world.outages), given.failovers),
        Promise("outages that took too long", sum(o > _UNAVAILABLE for o in world.outages)),
        Promise("users logged out", logged_out),
        Promise("answers that no app can expect", sum(o.confused != "" for o in world.owners)),
        Promise("answers 500", world.statuses["500"]),
        Promise("bugs in the service's log", service.bugs()),
    ]
    return conclude(facts, promises)


if __name__ == "__main__":
    sys.exit(run("failover", __doc__ or "", {"failovers": 5, "rate": 100}, _run))
