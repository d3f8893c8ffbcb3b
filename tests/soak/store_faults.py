"""Acknowledged writes survive `kill -9` of the store, at each step of login and refresh.

Between the service and its Valkey lies a network that cuts the connection right after a certain
command has been carried out. Then Valkey is killed and started over its append-only file, while the
service runs on. `python -m tests.soak.store_faults --help` tells the numbers that can be chosen.
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

from app.stores.redis.scripts import SCRIPTS
from tests.soak.phone import LOGIN, RELAUNCHES, Answer
from tests.soak.run import Environment, Owner, Promise, environment, read_valkey, run
from tests.support.processes import soon
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server, standalone

_RECOVERY = 5.0
_OUTAGE_ANSWER = 1.5
"""Seconds within which the service says that it cannot ask its store."""
_PROBE_SECONDS = 0.05
_WAITED_FOR = ("acquire", "create_session", "rotate")
_SLOW_LOADING = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")


@dataclass(slots=True)
class Outage:
    """What the service said while its store was away, and how long it took to be of use again.

    `deaf` is how often /livez was not 200. Times are in seconds.
    """

    responses: Counter[str] = field(default_factory=Counter)
    slowest_response: float = 0
    slowest_recovery: float = 0
    deaf: int = 0

    async def note(self, request: Awaitable[Answer | None]) -> None:
        """Judge the response to a login or a refresh that needs the store."""
        begun = time.monotonic()
        response = await request
        self.slowest_response = max(self.slowest_response, time.monotonic() - begun)
        told = "none" if response is None else f"{response.status} {response.code}"
        proper = response is not None and "Retry-After" in response.headers
        self.responses["503" if proper and told.startswith("503") else told] += 1

    def improper(self) -> int:
        return self.responses.total() - self.responses["503"]


@dataclass(slots=True)
class Faults:
    """The store behind its network, and the apps whose requests meet its faults."""

    environment: Environment
    valkey: Server
    network: Proxy
    outage: Outage = field(default_factory=Outage)
    kills: int = 0

    async def owner(self) -> Owner:
        """An app with a ticket, not yet presented."""
        number = len(self.environment.apps)
        owner = self.environment.app(f"owner-{number}", Owner)
        owner.ticket, owner.key = await owner.new_ticket(), f"key-of-{number}-0123456789"
        self.environment.apps.append(owner)
        return owner

    async def signed_in(self) -> Owner:
        owner = await self.owner()
        await owner.sign_in()
        return owner

    async def refreshed(self) -> Owner:
        owner = await self.signed_in()
        await owner.refresh()
        return owner

    async def ask(self, owner: Owner) -> None:
        """Send what the owner has, once: the ticket, or the newest refresh token.

        The store's trouble must fail it.
        """
        if owner.received:
            await self.outage.note(owner.refresh_once())
        else:
            body, key = {"ticket": owner.ticket}, owner.key
            await self.outage.note(owner.line.call("POST", LOGIN, body, Idempotency_Key=key))

    def kill(self) -> None:
        self.network.cut()
        self.valkey.kill()
        self.kills += 1

    async def restart(self, canary: Owner) -> None:
        """Start the store; an app that no kill concerns tells when the service is of use."""
        self.network.pass_through()
        await asyncio.to_thread(self.valkey.start)
        self.teach()
        begun = time.monotonic()
        response = await canary.refresh_once()
        while response is None or response.status != HTTPStatus.OK:
            await asyncio.sleep(_PROBE_SECONDS)
            response = await canary.refresh_once()
        canary.take(response)
        self.outage.slowest_recovery = max(self.outage.slowest_recovery, time.monotonic() - begun)

    def teach(self) -> None:
        """Let the store know the scripts, so that their first run is what a step waits for."""
        for script in _WAITED_FOR:
            self.valkey.cli("SCRIPT", "LOAD", SCRIPTS[script].text)

    async def listen(self) -> None:
        """Ask again and again whether the process lives."""
        while True:
            response = await self.environment.service.call("GET", "/livez")
            self.outage.deaf += response is None or response.status != HTTPStatus.OK
            await asyncio.sleep(_PROBE_SECONDS)


# --- the steps: each ends with a dead store and an owner who has to ask again ---

Make: TypeAlias = Callable[[Faults], Awaitable[Owner]]


async def before(make: Make, faults: Faults) -> None:
    """The store dies before it is asked at all."""
    owner = await make(faults)
    faults.kill()
    await faults.ask(owner)


async def after(script: str, make: Make, faults: Faults) -> None:
    """The command has been carried out, and the reply is lost."""
    owner = await make(faults)
    faults.network.refuse()
    faults.network.lose_reply(_run_of(script))
    await faults.ask(owner)
    faults.kill()


async def after_the_exchange(faults: Faults) -> None:
    """Authing has told who the user is, and the store is gone."""
    owner = await faults.owner()
    fault = {"kind": "slow", "seconds": 0.3, "times": 1}
    await faults.environment.authing.call("PUT", "/sandbox/fault", fault)
    faults.network.commands.clear()
    login = asyncio.create_task(faults.ask(owner))
    await asyncio.to_thread(faults.network.wait_for, _run_of("acquire"))
    await asyncio.sleep(0.1)  # its response is on the way back, and the exchange has begun
    faults.network.refuse()
    faults.kill()
    await login


async def after_the_response(make: Make, faults: Faults) -> None:
    """The app has its response."""
    await make(faults)
    faults.kill()


async def while_loading(faults: Faults) -> None:
    """The store is back and still reads its file."""
    owner = await faults.signed_in()
    faults.valkey.cli("BGREWRITEAOF")  # what it reads piece by piece is the snapshot in its file
    await asyncio.to_thread(soon, lambda: "aof_rewrite_in_progress:0" in _info(faults.valkey))
    faults.kill()
    arguments = faults.valkey.arguments
    faults.valkey.arguments = (*arguments, *_SLOW_LOADING)
    faults.valkey.launch()
    faults.network.pass_through()
    await asyncio.to_thread(soon, lambda: "\nloading:1" in _info(faults.valkey))
    await faults.ask(owner)
    faults.valkey.kill()
    faults.valkey.arguments = arguments


def _run_of(script: str) -> bytes:
    return b"^EVALSHA " + SCRIPTS[script].digest.encode()


def _info(server: Server) -> str:
    try:
        return str(server.cli("INFO", "persistence"))
    except ConnectionError:
        return ""


STEPS: tuple[Callable[[Faults], Awaitable[None]], ...] = (
    partial(before, Faults.owner),
    partial(after, "acquire", Faults.owner),
    after_the_exchange,
    partial(after, "create_session", Faults.owner),
    partial(after_the_response, Faults.signed_in),
    partial(before, Faults.signed_in),
    partial(after, "rotate", Faults.signed_in),
    partial(after_the_response, Faults.refreshed),
    while_loading,
)


async def _live_through(faults: Faults, rounds: int) -> None:
    faults.teach()
    canary = await faults.signed_in()
    await canary.refresh()
    listening = asyncio.create_task(faults.listen())
    for step in STEPS:
        for _ in range(rounds):
            await step(faults)
            await faults.restart(canary)
        await asyncio.gather(*(_settle(owner) for owner in faults.environment.owners))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    for owner in faults.environment.owners:
        await owner.take_stock()


async def _settle(owner: Owner) -> None:
    """Ask again with what one has, as an app does, until there is a verdict."""
    if owner.received:
        return
    response = await owner.present_ticket()
    if response.code == "ticket_rejected":
        owner.tally[RELAUNCHES] += 1
        await owner.sign_in()
    else:
        owner.adopt(response)


async def main(folder: Path, given: argparse.Namespace) -> int:
    with ExitStack() as stack:
        valkey = stack.enter_context(standalone(folder / "valkey", appendonly=True))
        network = stack.enter_context(Proxy(valkey.port))
        # A dead holder's lease ends when an exchange must have ended: soon, here.
        async with environment(
            folder, given.seed, STORE_URL=network.url, AUTHING_TIMEOUT="1"
        ) as running:
            faults = Faults(running, valkey, network)
            await _live_through(faults, given.rounds)
            await running.running.service.stop()
            kept = await read_valkey(valkey.url)
    outage, owners = faults.outage, running.owners
    facts = {
        "sessions acknowledged": len(owners),
        **running.counted("logins replayed", "refreshes replayed", RELAUNCHES),
        "responses during the outages": dict(outage.responses),
        "slowest response then, seconds": f"{outage.slowest_response:.2f}",
        "slowest recovery, seconds": f"{outage.slowest_recovery:.2f}",
        "sessions in the store": len(kept.subjects),
    }
    promises = [
        Promise("kills of the store survived", faults.kills, len(STEPS) * given.rounds),
        Promise("starts of the service", running.running.service.starts, 1),
        *running.kept_by_owners(),
        *running.in_the_store(kept),
        Promise("responses in an outage that were not 503", outage.improper()),
        Promise(
            "responses in an outage that came late", int(outage.slowest_response > _OUTAGE_ANSWER)
        ),
        Promise("recoveries that took too long", int(outage.slowest_recovery > _RECOVERY)),
        Promise("times that /livez was not 200", outage.deaf),
    ]
    return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, rounds=20)
