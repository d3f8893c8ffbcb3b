"""Fail over between two Valkeys under Sentinel: it costs seconds and no session.

Apps refresh at a steady rate while the master is killed repeatedly; the replica takes over, and the
old master returns as a replica. An app that gets 503 repeats the request with the same token.
`python -m tests.soak.failover --help` lists the options.
"""

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

from tests.soak.phone import App
from tests.soak.run import Environment, Promise, environment, run
from tests.support.processes import soon
from tests.support.valkey.servers import SentinelTrio, sentinel_trio

_APPS = 200
_UNAVAILABLE = 10.0
_LULL = 12.0
"""Seconds between failovers: Sentinels wait ten before they begin another."""


@dataclass(slots=True)
class Failovers:
    """`good` is when a refresh succeeded, by the monotonic clock; `outages` are in seconds."""

    environment: Environment
    trio: SentinelTrio
    rate: int
    statuses: Counter[str] = field(default_factory=Counter)
    good: list[float] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)

    async def run(self, failovers: int) -> None:
        """Refresh at the rate, all in all, while the failovers happen one after the other."""
        living = [asyncio.create_task(self._live(app)) for app in self.environment.apps]
        for _ in range(failovers):
            await asyncio.sleep(_LULL)
            await self._fail_over()
        await asyncio.sleep(_LULL / 4)
        for life in living:
            life.cancel()
        await asyncio.gather(*living, return_exceptions=True)

    async def _live(self, app: App) -> None:
        while app.ended is None and not app.confused:
            await asyncio.sleep(self.environment.choices.expovariate(self.rate / _APPS))
            await self._refresh(app)

    async def _refresh(self, app: App) -> None:
        response = await app.refresh_once()
        self.statuses[str(response.status) if response else "none"] += 1
        if response is None or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return  # again after a while, with the same token
        with app.noting():
            app.take(response)
        if response.status == HTTPStatus.OK:
            self.environment.tally[str(response.body["outcome"])] += 1
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
    try:
        roles = sorted((server.cli("ROLE") for server in trio.pair), key=lambda role: str(role[0]))
    except OSError:
        return False
    (one, *_), (other, *_, state, _) = roles
    return (one, other, state) == ("master", "slave", "connected")


async def main(folder: Path, given: argparse.Namespace) -> int:
    with sentinel_trio(folder / "valkey") as trio:
        async with environment(folder, given.seed, STORE_URL=trio.url) as running:
            await running.signed_in(_APPS)
            failovers = Failovers(running, trio, given.rate)
            begun = time.monotonic()
            await failovers.run(given.failovers)
            seconds = time.monotonic() - begun
            for app in running.apps:
                if app.ended is None and not app.confused:
                    with app.noting():
                        await app.refresh()
            service, statuses, tally = running.running.service, failovers.statuses, running.tally
            await service.stop()
    facts = {
        "apps": len(running.apps),
        "seconds": round(seconds),
        "refreshes a second": f"{statuses.total() / seconds:.0f}",
        "responses": dict(statuses),
        "refreshes rotated, replayed": f"{tally['rotated']}, {tally['replayed']}",
        "rotations lost, then rolled forward": service.rolled_forward(),
        "writes that no replica confirmed": service.said('"write_unconfirmed"'),
        "unavailable, seconds": " ".join(f"{outage:.1f}" for outage in failovers.outages),
    }
    promises = [
        Promise("failovers survived", len(failovers.outages), given.failovers),
        Promise("outages that took too long", sum(o > _UNAVAILABLE for o in failovers.outages)),
        Promise("users logged out", sum(app.ended is not None for app in running.apps)),
        Promise("responses 500", statuses["500"]),
    ]
    return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, failovers=5, rate=100)
