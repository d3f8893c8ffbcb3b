"""Kill the service with `kill -9` under load: no acknowledged write is lost or duplicated.

Apps log in and refresh, often twice at once, while the service is killed and restarted over one
file. Afterwards each session is checked: its last token works, its tokens form one line, and its
ticket made no second session. `python -m tests.soak.kill_nine --help` lists the options.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path

import aiohttp

from tests.soak.fleet import Fleet, fleet
from tests.soak.phone import Answer, App, Line, Unexpected, new_ticket, telephony
from tests.soak.run import Promise, conclude, kill_again_and_again, run
from tests.soak.store_file import Kept, read_store

PHONES = 60
_ANSWERS_BETWEEN_KILLS = (20, 900)


@dataclass(slots=True)
class Owner:
    """Somebody with an app, who remembers what was acknowledged and notes what went wrong.

    `twins`: a refresh token had two successors. `undead`: a token that worked after its session
    had ended. `strangers`: a ticket gave another session the second time. `confused`: by an answer
    that a correct app cannot expect.
    """

    app: App
    twins: int = 0
    undead: int = 0
    strangers: int = 0
    confused: str = ""

    async def live(self, rush: asyncio.Event) -> None:
        """Sign in, now and then twice, and refresh for a while; less when there is a rush."""
        try:
            await self.app.sign_in()
            if self.app.choices.random() < 0.5:
                self._compare(await self.app.present_ticket())
            for _ in range(self.app.choices.randint(2, 12)):
                if not rush.is_set() and self.app.ended is None:
                    await self._refresh(tabs=self.app.choices.choice((1, 1, 2)))
        except Unexpected as error:
            self.confused = str(error)

    async def take_stock(self) -> None:
        """Use the last token when all is calm; then end the session by showing its first one."""
        if self.confused or self.app.ended is not None:
            return  # it is known already
        try:
            await self._refresh(tabs=2)
            await self._refresh(tabs=1)
            await self.app.present(self.app.received[0])
            answers = [await self.app.present(token) for token in self.app.received]
            self.undead = sum(answer.status == HTTPStatus.OK for answer in answers)
        except Unexpected as error:
            self.confused = str(error)

    def _compare(self, again: Answer) -> None:
        same = (
            again.status == HTTPStatus.CREATED
            and again.body["session"]["id"] == self.app.session_id
            and again.body["refresh_token"] == self.app.received[0]
        )
        self.strangers += not same

    async def _refresh(self, tabs: int) -> None:
        newest = self.app.received[-1]
        answers = await asyncio.gather(*(self.app.present(newest) for _ in range(tabs)))
        successors = {a.body["refresh_token"] for a in answers if a.status == HTTPStatus.OK}
        self.twins += len(successors) > 1
        for answer in answers:
            self.app.take(answer)


@dataclass(slots=True)
class RunningApp:
    """Everybody who takes part. `over` is set when the last kill has been survived."""

    running: Fleet
    http: aiohttp.ClientSession
    choices: random.Random
    tally: Counter[str] = field(default_factory=Counter)
    owners: list[Owner] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, kills: int) -> None:
        """Kill the service this often under load; then look at every session."""
        async with asyncio.TaskGroup() as group:
            for _ in range(PHONES):
                group.create_task(self._phone())
            gaps = (self.choices.randint(*_ANSWERS_BETWEEN_KILLS) for _ in range(kills))
            await kill_again_and_again(self.running.service, lambda: self.tally["answers"], gaps)
            self.over.set()
        self.tally["answers under load"] = self.tally["answers"]
        for some in range(0, len(self.owners), PHONES):
            chunk = self.owners[some : some + PHONES]
            await asyncio.gather(*(owner.take_stock() for owner in chunk))

    async def _phone(self) -> None:
        authing = Line(self.http, lambda: self.running.authing.port)
        service = Line(self.http, lambda: self.running.service.port)
        while not self.over.is_set():
            tickets = partial(new_ticket, authing, f"owner-{len(self.owners)}")
            choices = random.Random(self.choices.random())
            owner = Owner(App(service, tickets, choices, self.tally))
            self.owners.append(owner)
            await owner.live(self.over)


def _facts(world: RunningApp, kept: Kept, seed: int) -> dict[str, object]:
    tally = world.tally
    return {
        "seed": seed,
        "sessions acknowledged": len(world.owners),
        "answers under load": tally["answers under load"],
        "requests in all": tally["requests"],
        "logins replayed": tally["logins replayed"],
        "refreshes rotated": tally["refreshes rotated"],
        "refreshes replayed": tally["refreshes replayed"],
        "relaunches before a first session": tally["relaunches"],
        "slowest start, seconds": f"{world.running.service.slowest_start:.1f}",
        "sessions in the file": len(kept.subjects),
    }


def _promises(world: RunningApp, kept: Kept, kills: int) -> list[Promise]:
    owners = world.owners
    rolled_forward = world.running.service.said('"session_rolled_forward"')
    known = {owner.app.session_id for owner in owners}
    strangers = sum(owner.strangers for owner in owners) + kept.users_with_two()
    twins = sum(owner.twins + owner.undead for owner in owners)
    return [
        Promise("kills survived", world.running.service.starts - 1, kills),
        Promise("acknowledged sessions lost", sum(o.app.ended is not None for o in owners)),
        Promise("acknowledged sessions not in the file", len(known - kept.subjects.keys())),
        Promise("sessions with two live successors", twins),
        Promise("tickets with two sessions", strangers),
        Promise("sessions of which nobody was told", len(kept.subjects.keys() - known)),
        Promise("rotations lost, then rolled forward", rolled_forward),
        Promise("answers that no app can expect", sum(o.confused != "" for o in owners)),
        Promise("bugs in the service's log", world.running.service.bugs()),
        Promise("damage to the file", int(kept.damage != "")),
    ]


async def _run(folder: Path, given: argparse.Namespace) -> int:
    async with fleet(folder) as running, telephony() as http:
        world = RunningApp(running, http, random.Random(given.seed))
        await world.run(given.kills)
        await running.service.stop()
        kept = read_store(running.store)
        for confused in {owner.confused for owner in world.owners} - {""}:
            print("unexpected:", confused)
        return conclude(_facts(world, kept, given.seed), _promises(world, kept, given.kills))


if __name__ == "__main__":
    sys.exit(run("kill_nine", __doc__ or "", {"kills": 50}, _run))
