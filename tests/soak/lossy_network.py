"""Run apps over a lossy network: no app is forced to log in again, and every thief is stopped.

The network loses responses and duplicates requests, and the service is killed several times; once
over SQLite and once over Valkey.
Thieves copy the refresh token of some apps. They replay it later, follow the owner's next refresh,
lurk until the owner sleeps, or lead. Some apps have a device key, from the login or from a later
refresh on: thieves get nothing from these, and do not end their sessions.
`python -m tests.soak.lossy_network --help` lists the options.
"""

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

from tests.commands.environment import ISSUER
from tests.soak.phone import RELAUNCHES, App, Line
from tests.soak.proxies import LossyProxy
from tests.soak.run import (
    Environment,
    Promise,
    environment,
    kill_again_and_again,
    over_each_store,
    read_file,
    read_valkey,
    run,
)
from tests.support.proofs import DeviceKey
from tests.support.valkey.servers import Server

DROPS, DOUBLES = 0.20, 0.05
FEWEST_REFRESHES = 10
MANNERS = ("old", "used", "follow", "lurk")
BOUND_MANNERS = ("follow", "lurk", "lead", "old")
_APPS_AWAKE = 400
_DELIVERIES_PER_APP = 15  # at the very least


@dataclass(slots=True)
class Thief:
    """Copies the victim's refresh token after its refresh number `at` (0: the login).

    `manner`: when the copy is presented. `old`: after two more refreshes. `used`: after one more
    refresh and a use of its access token. `follow`: just after one more refresh, of which only
    other services see the access token. `lurk`: as `follow`, while the owner sleeps. `lead`: before
    the owner does.
    `gained`: the thief got tokens.
    """

    phone: App
    at: int
    manner: str
    loot: str = ""
    gained: bool = False
    strike: asyncio.Task[None] | None = None

    async def watch(self, number: int, victim: App) -> None:
        """Copy the token after this refresh of the victim, or present the copy when it is time."""
        if number == self.at:
            self.loot = victim.received[-1]
        if number == self.at + {"old": 2, "lead": 0}.get(self.manner, 1):
            self.strike = asyncio.create_task(self._replay())
            if self.manner in {"lurk", "lead"}:
                await self.strike

    async def _replay(self) -> None:
        response = await self.phone.present(self.loot)
        self.gained = response.status == HTTPStatus.OK


@dataclass(slots=True)
class Owner(App):
    """An app that may be robbed.

    `key_from` is the number of the first request with its device key (0: the login), if it has one.
    `forced`: it was told that its session is over, though no thief had struck or it has a key.
    """

    thief: Thief | None = None
    key_from: int | None = None
    forced: bool = False

    async def live(self) -> None:
        """Sign in once, then refresh and look around; at the end learn what a thief has done."""
        with self.noting():
            self._make_key(0)
            await self.sign_in()
            for number in range(FEWEST_REFRESHES + self.choices.randrange(3)):
                if self.thief is not None:
                    await self.thief.watch(number, self)
                self._make_key(number + 1)
                if self.ended is None:
                    await self._refresh_and_look()
            if self.thief is not None and self.thief.strike is not None:
                await self.thief.strike
                await self.refresh()

    def _make_key(self, number: int) -> None:
        if number == self.key_from:
            self.device = DeviceKey(ISSUER)

    async def _refresh_and_look(self) -> None:
        await self.refresh()
        manner = self.thief.manner if self.thief is not None else "none"
        looks = {"used": 1.0, "follow": 0.0, "lurk": 0.0}.get(manner, 0.5)
        if self.ended is None and self.choices.random() < looks:
            await self.look()
        if self.ended is not None:
            robbed = self.thief is not None and self.thief.strike is not None
            self.forced = self.device is not None or not robbed


def make_owners(
    running: Environment, line: Line, apps: int, thieves: int, bound: int
) -> list[Owner]:
    """Make the apps, which use this line, and choose those that the thieves rob.

    `bound` of the victims have a device key, and a fifth of the other apps. Half of those get it at
    the login, half when the thief copies the token or (lead) just before.
    """
    choices, owners = running.choices, []
    victims = choices.sample(range(apps), thieves + bound)
    manners = {victim: MANNERS[turn % len(MANNERS)] for turn, victim in enumerate(victims[bound:])}
    manners |= {v: BOUND_MANNERS[turn // 2 % 4] for turn, v in enumerate(victims[:bound])}
    with_key = {v: turn % 2 == 0 for turn, v in enumerate(victims[:bound])}
    with_key |= {n: n % 2 == 0 for n in range(0, apps, 5) if n not in manners}
    for number in range(apps):
        at = choices.randrange(FEWEST_REFRESHES - 2)
        owner = running.app(f"owner-{number}", Owner, line)
        if number in with_key:
            upgrade = at + (manners.get(number) != "lead")
            owner.key_from = 0 if with_key[number] else upgrade
        if number in manners:
            owner.thief = Thief(running.app("nobody", App, line), at, manners[number])
            if owner.key_from is not None and choices.random() < 0.5:
                owner.thief.phone.device = DeviceKey(ISSUER)
        owners.append(owner)
    running.apps += owners
    return owners


async def live(running: Environment, owners: list[Owner], network: LossyProxy, kills: int) -> None:
    """Let all apps live, some hundred at a time, and kill the service now and then."""
    awake = asyncio.Semaphore(_APPS_AWAKE)

    async def live(owner: Owner) -> None:
        async with awake:
            await owner.live()

    moments = sorted(running.choices.sample(range(_DELIVERIES_PER_APP * len(owners)), kills))
    gaps = [later - sooner for sooner, later in pairwise([0, *moments])]
    killing = asyncio.create_task(
        kill_again_and_again(
            running.running.service, lambda: network.tally["requests delivered"], gaps
        )
    )
    await asyncio.gather(*(live(owner) for owner in owners))
    killing.cancel()
    await asyncio.gather(killing, return_exceptions=True)


async def main(folder: Path, given: argparse.Namespace) -> int:
    return await over_each_store(folder, partial(run_over, given))


async def run_over(given: argparse.Namespace, folder: Path, server: Server | None, url: str) -> int:
    began = time.monotonic()
    async with environment(folder, given.seed, STORE_URL=url) as running:
        service, tally = running.running.service, running.tally
        proxy = LossyProxy(running.choices, lambda: service.port, DROPS, DOUBLES)
        async with proxy.listening() as port:
            line = Line(running.http, lambda: port)
            owners = make_owners(running, line, given.apps, given.thieves, given.bound)
            await live(running, owners, proxy, given.kills)
        await service.stop()
        kept = read_file(running.running.store) if server is None else await read_valkey(server.url)
        victims = [(owner.thief, owner) for owner in owners if owner.thief is not None]
        robbed = [(thief, owner.ended) for thief, owner in victims if owner.device is None]
        guarded = [(thief, owner.ended) for thief, owner in victims if owner.device is not None]
        in_vain = [
            not thief.gained and ended == "refresh_reused" for thief, ended in robbed
        ]  # and the session has ended for that very reason
        facts = {
            "seconds": round(time.monotonic() - began),
            "apps": len(owners),
            "requests sent by apps and thieves": tally["requests"],
            "requests delivered": proxy.tally["requests delivered"],
            "  of which doubled": proxy.tally["requests doubled"],
            "  of which died with the server": proxy.tally["requests that died with the server"],
            "responses dropped": proxy.tally["responses dropped"],
            **running.counted(
                *("logins replayed", RELAUNCHES, "refreshes rotated", "refreshes replayed")
            ),
            "three refreshes in a row replayed": service.said('"refresh_replayed_repeatedly"'),
            **running.counted("looks"),
            "thieves, by manner": dict(Counter(thief.manner for thief, _ in robbed)),
            "thieves of bound apps, by manner": dict(Counter(t.manner for t, _ in guarded)),
            "apps with a device key": sum(owner.device is not None for owner in owners),
            "  of which bound by a refresh": service.said('"session_bound"'),
            "refreshes refused for their proof": service.said('"proof_refused"'),
            "slowest start, seconds": f"{service.slowest_start:.1f}",
            "sessions in the store": len(kept.subjects),
        }
        promises = [
            Promise("kills survived", service.starts - 1, given.kills),
            Promise("forced logins", sum(owner.forced for owner in owners)),
            Promise("stolen sessions ended", sum(in_vain), given.thieves),
            Promise("bound sessions alive", sum(end is None for _, end in guarded), given.bound),
            Promise("thieves who gained", sum(thief.gained for thief, _ in victims)),
            Promise("rotations lost, then rolled forward", service.rolled_forward()),
            *running.in_the_store(kept),
        ]
        return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, apps=2000, thieves=800, bound=200, kills=10)
