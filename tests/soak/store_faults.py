"""Acknowledged writes survive `kill -9` of the store, at each step of login and refresh.

Between the service and its Valkey lies a network that cuts the connection right after a certain
command has been carried out. Then Valkey is killed and started over its append-only file, while the
service runs on. `python -m tests.soak.store_faults --help` tells the numbers that can be chosen.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path

import aiohttp

from app.stores.redis import scripts
from tests.soak.fleet import Fleet, fleet
from tests.soak.kill_nine import Owner
from tests.soak.phone import LOGIN, REFRESH, Answer, App, Line, new_ticket, telephony
from tests.soak.run import Promise, conclude, run
from tests.soak.shared_store import read_shared_store
from tests.soak.store_file import Kept
from tests.support.valkey.process import soon
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server, standalone

_RECOVERY = 5.0
_OUTAGE_ANSWER = 1.5
"""Seconds within which the service says that it cannot ask its store."""
_PROBE_SECONDS = 0.05
_WAITED_FOR = (scripts.ACQUIRE, scripts.CREATE_SESSION, scripts.ROTATE)
_SLOW_LOADING = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")


@dataclass(slots=True)
class Outage:
    """What the service said while its store was away, and how long it took to be of use again."""

    answers: Counter[str] = field(default_factory=Counter)
    slowest_answer: float = 0
    slowest_recovery: float = 0
    deaf: int = 0
    """How often /livez was not 200."""

    def note(self, answer: Answer | None, seconds: float) -> None:
        """Judge one answer to a login or a refresh that needs the store."""
        self.slowest_answer = max(self.slowest_answer, seconds)
        if answer is None:
            self.answers["none"] += 1
        elif answer.status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in answer.headers:
            self.answers["503"] += 1
        else:
            self.answers[f"{answer.status} {answer.code}"] += 1

    def improper(self) -> int:
        """How many of them were not 503 with Retry-After."""
        return self.answers.total() - self.answers["503"]


@dataclass(slots=True)
class RunningApp:
    """The service, the store behind its network, and everybody with an app."""

    running: Fleet
    http: aiohttp.ClientSession
    valkey: Server
    network: Proxy
    choices: random.Random
    tally: Counter[str] = field(default_factory=Counter)
    outage: Outage = field(default_factory=Outage)
    owners: list[Owner] = field(default_factory=list)
    kills: int = 0

    async def owner(self) -> Owner:
        """Somebody with a ticket, not yet presented."""
        service = Line(self.http, lambda: self.running.service.port)
        authing = Line(self.http, lambda: self.running.authing.port)
        tickets = partial(new_ticket, authing, f"owner-{len(self.owners)}")
        owner = Owner(App(service, tickets, random.Random(self.choices.random()), self.tally))
        owner.app.ticket, owner.app.key = await tickets(), f"key-of-{len(self.owners)}-0123456789"
        self.owners.append(owner)
        return owner

    async def signed_in(self) -> Owner:
        """Somebody with a session."""
        owner = await self.owner()
        await owner.app.sign_in()
        return owner

    async def login(self, owner: Owner) -> Answer | None:
        """Present the ticket once."""
        body = {"ticket": owner.app.ticket}
        return await owner.app.line.call("POST", LOGIN, body, Idempotency_Key=owner.app.key)

    async def refresh(self, owner: Owner) -> Answer | None:
        """Present the newest refresh token once."""
        body = {"refresh_token": owner.app.received[-1]}
        return await owner.app.line.call("POST", REFRESH, body)

    async def fails(self, request: Awaitable[Answer | None]) -> None:
        """Make a request that the store's trouble must fail, in the one way in which it may."""
        begun = time.monotonic()
        self.outage.note(await request, time.monotonic() - begun)

    def isolate(self, after: bytes) -> None:
        """Cut the service off as soon as this command has been carried out."""
        self.network.refuse()
        self.network.lose_reply(after)

    def kill(self) -> None:
        """Kill the store."""
        self.network.cut()
        self.valkey.kill()
        self.kills += 1

    async def restart(self, canary: Owner) -> None:
        """Start the store; somebody whom no kill concerns tells when the service is of use."""
        self.network.pass_through()
        await asyncio.to_thread(self.valkey.start)
        self.teach()
        begun = time.monotonic()
        answer = await self.refresh(canary)
        while answer is None or answer.status != HTTPStatus.OK:
            await asyncio.sleep(_PROBE_SECONDS)
            answer = await self.refresh(canary)
        canary.app.take(answer)
        self.outage.slowest_recovery = max(self.outage.slowest_recovery, time.monotonic() - begun)

    def teach(self) -> None:
        """Let the store know the scripts, so that their first run is what a step waits for."""
        for script in _WAITED_FOR:
            self.valkey.cli("SCRIPT", "LOAD", script.text)

    async def listen(self) -> None:
        """Ask again and again whether the process lives."""
        line = Line(self.http, lambda: self.running.service.port)
        while True:
            answer = await line.call("GET", "/livez")
            self.outage.deaf += answer is None or answer.status != HTTPStatus.OK
            await asyncio.sleep(_PROBE_SECONDS)


# --- the steps: each ends with a dead store and an owner who has to ask again ---


async def before_the_lease(world: RunningApp) -> None:
    """The store dies before it is asked at all."""
    owner = await world.owner()
    world.kill()
    await world.fails(world.login(owner))


async def after_the_lease(world: RunningApp) -> None:
    """The ticket is leased, and the reply is lost."""
    owner = await world.owner()
    world.isolate(_run_of(scripts.ACQUIRE))
    await world.fails(world.login(owner))
    world.kill()


async def after_the_exchange(world: RunningApp) -> None:
    """Authing has told who the user is, and the store is gone."""
    owner = await world.owner()
    authing = Line(world.http, lambda: world.running.authing.port)
    await authing.call("PUT", "/sandbox/fault", {"kind": "slow", "seconds": 0.3, "times": 1})
    world.network.commands.clear()
    login = asyncio.create_task(world.fails(world.login(owner)))
    await asyncio.to_thread(world.network.wait_for, _run_of(scripts.ACQUIRE))
    await asyncio.sleep(0.1)  # its answer is on the way back, and the exchange has begun
    world.network.refuse()
    world.kill()
    await login


async def after_the_write(world: RunningApp) -> None:
    """The session is stored, and the reply is lost."""
    owner = await world.owner()
    world.isolate(_run_of(scripts.CREATE_SESSION))
    await world.fails(world.login(owner))
    world.kill()


async def after_the_login(world: RunningApp) -> None:
    """The app has its answer."""
    await world.signed_in()
    world.kill()


async def before_the_refresh(world: RunningApp) -> None:
    """The store dies before it is asked at all."""
    owner = await world.signed_in()
    world.kill()
    await world.fails(world.refresh(owner))


async def after_the_rotation(world: RunningApp) -> None:
    """The session has rotated, and the reply is lost."""
    owner = await world.signed_in()
    world.isolate(_run_of(scripts.ROTATE))
    await world.fails(world.refresh(owner))
    world.kill()


async def after_the_refresh(world: RunningApp) -> None:
    """The app has its answer."""
    owner = await world.signed_in()
    await owner.app.refresh()
    world.kill()


async def while_loading(world: RunningApp) -> None:
    """The store is back and still reads its file."""
    owner = await world.signed_in()
    world.valkey.cli("BGREWRITEAOF")  # what it reads piece by piece is the snapshot in its file
    await asyncio.to_thread(soon, lambda: "aof_rewrite_in_progress:0" in _info(world.valkey))
    world.kill()
    arguments = world.valkey.arguments
    world.valkey.arguments = (*arguments, *_SLOW_LOADING)
    world.valkey.launch()
    world.network.pass_through()
    await asyncio.to_thread(soon, lambda: "\nloading:1" in _info(world.valkey))
    await world.fails(world.refresh(owner))
    world.valkey.kill()
    world.valkey.arguments = arguments


def _run_of(script: scripts.Script) -> bytes:
    return b"^EVALSHA " + script.digest.encode()


def _info(server: Server) -> str:
    try:
        return str(server.cli("INFO", "persistence"))
    except ConnectionError:
        return ""


STEPS: tuple[Callable[[RunningApp], Awaitable[None]], ...] = (
    before_the_lease,
    after_the_lease,
    after_the_exchange,
    after_the_write,
    after_the_login,
    before_the_refresh,
    after_the_rotation,
    after_the_refresh,
    while_loading,
)


async def _live_through(world: RunningApp, rounds: int) -> None:
    world.teach()
    canary = await world.signed_in()
    await canary.app.refresh()
    listening = asyncio.create_task(world.listen())
    for step in STEPS:
        for _ in range(rounds):
            await step(world)
            await world.restart(canary)
        await asyncio.gather(*(_settle(owner) for owner in world.owners))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    for owner in world.owners:
        await owner.take_stock()


async def _settle(owner: Owner) -> None:
    """Ask again with what one has, as an app does, until there is a verdict."""
    app = owner.app
    if not app.received:
        answer = await app.present_ticket()
        if answer.code == "ticket_rejected":
            app.tally["relaunches"] += 1
            await app.sign_in()
        else:
            app.adopt(answer)


def _facts(world: RunningApp, kept: Kept, seed: int) -> dict[str, object]:
    return {
        "seed": seed,
        "sessions acknowledged": len(world.owners),
        "logins replayed": world.tally["logins replayed"],
        "refreshes replayed": world.tally["refreshes replayed"],
        "relaunches before a first session": world.tally["relaunches"],
        "answers during the outages": dict(world.outage.answers),
        "slowest answer then, seconds": f"{world.outage.slowest_answer:.2f}",
        "slowest recovery, seconds": f"{world.outage.slowest_recovery:.2f}",
        "sessions in the store": len(kept.subjects),
    }


def _promises(world: RunningApp, kept: Kept, rounds: int) -> list[Promise]:
    owners, outage = world.owners, world.outage
    known = {owner.app.session_id for owner in owners}
    service = world.running.service
    return [
        Promise("kills of the store survived", world.kills, len(STEPS) * rounds),
        Promise("starts of the service", service.starts, 1),
        Promise("acknowledged sessions lost", sum(o.app.ended is not None for o in owners)),
        Promise("acknowledged sessions not in the store", len(known - kept.subjects.keys())),
        Promise("sessions with two live successors", sum(o.twins + o.undead for o in owners)),
        Promise("tickets with two sessions", kept.users_with_two()),
        Promise("sessions of which nobody was told", len(kept.subjects.keys() - known)),
        Promise("answers in an outage that were not 503", outage.improper()),
        Promise("answers in an outage that came late", int(outage.slowest_answer > _OUTAGE_ANSWER)),
        Promise("recoveries that took too long", int(outage.slowest_recovery > _RECOVERY)),
        Promise("times that /livez was not 200", outage.deaf),
        Promise("answers that no app can expect", sum(o.confused != "" for o in owners)),
        Promise("bugs in the service's log", service.bugs()),
    ]


async def _prove(folder: Path, given: argparse.Namespace) -> int:
    with ExitStack() as stack:
        valkey = stack.enter_context(standalone(folder / "valkey", appendonly=True))
        network = stack.enter_context(Proxy(valkey.port))
        async with (
            # A dead holder's lease ends when an exchange must have ended: soon, here.
            fleet(folder, STORE_URL=network.url, AUTHING_TIMEOUT="1") as running,
            telephony() as http,
        ):
            world = RunningApp(running, http, valkey, network, random.Random(given.seed))
            await _live_through(world, given.rounds)
            await running.service.stop()
            kept = await read_shared_store(valkey.url)
            for confused in {owner.confused for owner in world.owners} - {""}:
                print("unexpected:", confused)
            return conclude(_facts(world, kept, given.seed), _promises(world, kept, given.rounds))


if __name__ == "__main__":
    sys.exit(run("store_faults", __doc__ or "", {"rounds": 20}, _prove))
