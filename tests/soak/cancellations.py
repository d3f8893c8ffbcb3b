"""Cut connections at random moments: no response reaches another client, nothing leaks.

Requests are cut while replies of the store are on their way, among requests that are not cut. Each
complete request gets its own session, and the service keeps its limit of store connections.
`python -m tests.soak.cancellations --help` lists the options.
"""

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path

import aiohttp

from tests.soak.fleet import Fleet, fleet
from tests.soak.phone import REFRESH, App, Line, new_ticket, telephony
from tests.soak.run import Promise, conclude, run
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import standalone

CURRENT = "/v1/sessions/current"
_APPS = 60
_AT_ONCE = 60
_REPLY_SECONDS = 0.01
_LONGEST = 0.2
"""Seconds until an app hangs up: from before its request is read until after its answer."""
_CONNECTIONS = 16
"""That many to the store are what the service may hold."""


@dataclass(slots=True)
class RunningApp:
    """Everybody who takes part."""

    running: Fleet
    http: aiohttp.ClientSession
    choices: random.Random
    apps: list[App] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)

    async def settle(self) -> None:
        """Let everybody sign in."""
        authing = Line(self.http, lambda: self.running.authing.port)
        service = Line(self.http, lambda: self.running.service.port)
        for number in range(_APPS):
            tickets = partial(new_ticket, authing, f"owner-{number}")
            self.apps.append(App(service, tickets, self.choices, Counter()))
        await asyncio.gather(*(app.sign_in() for app in self.apps))

    async def run(self, cancelled: int) -> None:
        """Ask and hang up, two to one, until so many have hung up."""
        while self.tally["hung up"] < cancelled:
            deeds = self.choices.choices([self.ask, self.hang_up, self.hang_up], k=_AT_ONCE)
            await asyncio.gather(*(deed(self.choices.choice(self.apps)) for deed in deeds))

    async def ask(self, app: App) -> None:
        """Ask who one is; the answer must be just that."""
        bearer = f"Bearer {app.access_token}"
        answer = await app.line.call("GET", CURRENT, Authorization=bearer)
        if answer is None or answer.status != HTTPStatus.OK:
            self.tally["good requests that failed"] += 1
            return
        self.tally["good answers"] += 1
        found = answer.body["id"], answer.body["user"]["sub"]
        self.tally["crossed"] += found != (app.session_id, app.subject)

    async def hang_up(self, app: App) -> None:
        """Ask who one is, or for the successor of one's token, and cut the connection."""
        port = self.running.service.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(self.choices.choice([_look, _refresh])(app))
        try:
            await asyncio.wait_for(reader.read(1), self.choices.random() * _LONGEST)
        except TimeoutError:
            self.tally["hung up before an answer"] += 1
        self.tally["hung up"] += 1
        writer.transport.abort()


def _look(app: App) -> bytes:
    head = f"GET {CURRENT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {app.access_token}\r\n\r\n"
    return head.encode()


def _refresh(app: App) -> bytes:
    # Always the first one, whose successor stays unused: it is given again and again.
    body = json.dumps({"refresh_token": app.received[0]})
    head = f"POST {REFRESH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def _run(folder: Path, given: argparse.Namespace) -> int:
    with ExitStack() as stack:
        valkey = stack.enter_context(standalone(folder / "valkey"))
        network = stack.enter_context(Proxy(valkey.port))
        async with (
            fleet(folder, STORE_URL=network.url) as running,
            telephony(2 * _AT_ONCE) as http,
        ):
            world = RunningApp(running, http, random.Random(given.seed))
            await world.settle()
            network.delay(_REPLY_SECONDS)
            await world.run(given.cancelled)
            network.pass_through()
            for _ in range(10):
                await asyncio.gather(*map(world.ask, world.apps))
            held, opened = network.open, network.opened
            await running.service.stop()
            left = network.open
    service = running.service
    facts = {
        "seed": given.seed,
        "requests given up": world.tally["hung up"],
        "  of which before an answer": world.tally["hung up before an answer"],
        "good answers": world.tally["good answers"],
        "connections to the store, opened in all": opened,
        "connections to the store, held at the end": held,
    }
    promises = [
        Promise("answers with another's session", world.tally["crossed"]),
        Promise("good requests that failed", world.tally["good requests that failed"]),
        Promise("connections held beyond the limit", max(0, held - _CONNECTIONS)),
        Promise("connections left when the service had gone", left),
        Promise("replies that nobody took", service.said("never retrieved", "Unclosed")),
        Promise("bugs in the service's log", service.bugs()),
    ]
    return conclude(facts, promises)


if __name__ == "__main__":
    sys.exit(run("cancellations", __doc__ or "", {"cancelled": 10_000}, _run))
