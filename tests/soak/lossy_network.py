"""Run apps over a lossy network: no app is forced to log in again, and every thief is caught.

The network loses responses and duplicates requests, and the service is killed several times.
Thieves copy the refresh token of some apps and replay it later.
`python -m tests.soak.lossy_network --help` lists the options.
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
from tests.soak.lossy_proxy import LossyProxy
from tests.soak.phone import App, Line, Unexpected, new_ticket, telephony
from tests.soak.run import Promise, conclude, kill_again_and_again, run
from tests.soak.store_file import Kept, read_store

DROPS, DOUBLES = 0.20, 0.05
FEWEST_REFRESHES = 10
_APPS_AWAKE = 400
_DELIVERIES_PER_APP = 15  # at the very least


@dataclass(slots=True)
class Thief:
    """Copies what the victim has after its refresh number `at` (0: the login), to replay it later.

    `patient`: when the victim has refreshed twice more; else when the victim has refreshed once
    more and has used the access token that came with it. `gained`: the copy was worth something.
    """

    phone: App
    at: int
    patient: bool
    loot: str = ""
    gained: bool = False
    strike: asyncio.Task[None] | None = None

    def watch(self, number: int, victim: App) -> None:
        """See what the victim has after its refresh of this number."""
        if number == self.at:
            self.loot = victim.received[-1]
        if number == self.at + (2 if self.patient else 1):
            self.strike = asyncio.create_task(self._replay())

    async def _replay(self) -> None:
        answer = await self.phone.present(self.loot)
        self.gained = answer.status == HTTPStatus.OK


@dataclass(slots=True)
class Owner:
    """Somebody with an app; perhaps a thief's victim.

    `forced`: the app was told that its session is over, though no thief had struck. `confused`: by
    an answer that a correct app cannot expect.
    """

    app: App
    thief: Thief | None
    forced: bool = False
    confused: str = ""

    async def live(self) -> None:
        """Sign in once, then refresh and look around; at the end learn what a thief has done."""
        try:
            await self.app.sign_in()
            for number in range(FEWEST_REFRESHES + self.app.choices.randrange(3)):
                if self.thief is not None:
                    self.thief.watch(number, self.app)
                if self.app.ended is None:
                    await self._refresh_and_look()
            if self.thief is not None and self.thief.strike is not None:
                await self.thief.strike
                await self.app.refresh()
        except Unexpected as error:
            self.confused = str(error)

    def was_robbed_in_vain(self) -> bool:
        """Whether the thief got nothing and the session has ended, for that very reason."""
        thief, ended = self.thief, self.app.ended
        return thief is not None and not thief.gained and ended == "refresh_reused"

    async def _refresh_and_look(self) -> None:
        await self.app.refresh()
        hasty = self.thief is not None and not self.thief.patient
        if self.app.ended is None and (hasty or self.app.choices.random() < 0.5):
            await self.app.look()
        if self.app.ended is not None:
            self.forced = self.thief is None or self.thief.strike is None


@dataclass(slots=True)
class RunningApp:
    """Everybody who takes part, and the network between them and the service."""

    running: Fleet
    network: LossyProxy
    choices: random.Random
    tally: Counter[str] = field(default_factory=Counter)
    owners: list[Owner] = field(default_factory=list)

    def settle(self, http: aiohttp.ClientSession, port: int, apps: int, thieves: int) -> None:
        """Make the apps, whose network is at this port, and choose whom the thieves rob."""
        authing = Line(http, lambda: self.running.authing.port)
        service = Line(http, lambda: port)

        def app(name: str) -> App:
            choices = random.Random(self.choices.random())
            return App(service, partial(new_ticket, authing, name), choices, self.tally)

        victims = set(self.choices.sample(range(apps), thieves))
        for number in range(apps):
            at, patient = self.choices.randrange(FEWEST_REFRESHES - 2), self.choices.random() < 0.5
            thief = Thief(app("nobody"), at, patient) if number in victims else None
            self.owners.append(Owner(app(f"owner-{number}"), thief))

    async def run(self, kills: int) -> None:
        """Let everybody live, some hundred at a time, and kill the service now and then."""
        awake = asyncio.Semaphore(_APPS_AWAKE)

        async def live(owner: Owner) -> None:
            async with awake:
                await owner.live()

        killing = asyncio.create_task(self._kill(kills))
        await asyncio.gather(*(live(owner) for owner in self.owners))
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)

    async def _kill(self, kills: int) -> None:
        most = _DELIVERIES_PER_APP * len(self.owners)
        moments = sorted(self.choices.sample(range(most), kills))
        gaps = [later - sooner for sooner, later in pairwise([0, *moments])]
        delivered = self.network.tally
        await kill_again_and_again(
            self.running.service, lambda: delivered["requests delivered"], gaps
        )


def _facts(world: RunningApp, kept: Kept, seed: int, seconds: float) -> dict[str, object]:
    tally, network = world.tally, world.network.tally
    thieves = [owner.thief for owner in world.owners if owner.thief is not None]
    return {
        "seed": seed,
        "seconds": round(seconds),
        "apps": len(world.owners),
        "requests sent by apps and thieves": tally["requests"],
        "requests delivered": network["requests delivered"],
        "  of which doubled": network["requests doubled"],
        "  of which died with the server": network["requests that died with the server"],
        "answers dropped": network["answers dropped"],
        "logins replayed": tally["logins replayed"],
        "relaunches before a first session": tally["relaunches"],
        "refreshes rotated": tally["refreshes rotated"],
        "refreshes replayed": tally["refreshes replayed"],
        "looks at /v1/me": tally["looks"],
        "thieves: copy two generations old": sum(thief.patient for thief in thieves),
        "thieves: successor of the copy in use": sum(not thief.patient for thief in thieves),
        "slowest start, seconds": f"{world.running.service.slowest_start:.1f}",
        "sessions in the file": len(kept.subjects),
    }


def _promises(world: RunningApp, kept: Kept, kills: int, thieves: int) -> list[Promise]:
    owners = world.owners
    rolled_forward = world.running.service.said('"session_rolled_forward"')
    known = {owner.app.session_id for owner in owners}
    return [
        Promise("kills survived", world.running.service.starts - 1, kills),
        Promise("forced logins", sum(owner.forced for owner in owners)),
        Promise("stolen sessions ended", sum(o.was_robbed_in_vain() for o in owners), thieves),
        Promise("thieves who gained", sum(o.thief is not None and o.thief.gained for o in owners)),
        Promise("users with two sessions", kept.users_with_two()),
        Promise("sessions of which nobody was told", len(kept.subjects.keys() - known)),
        Promise("rotations lost, then rolled forward", rolled_forward),
        Promise("answers that no app can expect", sum(o.confused != "" for o in owners)),
        Promise("bugs in the service's log", world.running.service.bugs()),
        Promise("damage to the file", int(kept.damage != "")),
    ]


async def _run(folder: Path, given: argparse.Namespace) -> int:
    began, choices = time.monotonic(), random.Random(given.seed)
    async with fleet(folder) as running, telephony() as http:
        service = running.service
        proxy = LossyProxy(lambda: service.port, DROPS, DOUBLES, random.Random(choices.random()))
        world = RunningApp(running, proxy, choices)
        async with proxy.listening() as port:
            world.settle(http, port, given.apps, given.thieves)
            await world.run(given.kills)
        await service.stop()
        kept = read_store(running.store)
        for confused in {owner.confused for owner in world.owners} - {""}:
            print("unexpected:", confused)
        facts = _facts(world, kept, given.seed, time.monotonic() - began)
        return conclude(facts, _promises(world, kept, given.kills, given.thieves))


if __name__ == "__main__":
    numbers = {"apps": 2000, "thieves": 200, "kills": 10}
    sys.exit(run("lossy_network", __doc__ or "", numbers, _run))
