"""Cut connections at random moments: no response reaches another client, nothing leaks.

Requests are cut while replies of the store are on their way, among requests that are not cut. Each
complete request gets its own session, and the service keeps its limit of store connections.
`python -m tests.soak.cancellations --help` lists the options.
"""

import argparse
import asyncio
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

from tests.soak.phone import REFRESH, App
from tests.soak.run import Environment, Promise, environment, run
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import standalone

CURRENT = "/v1/sessions/current"
_APPS = 60
_AT_ONCE = 60
_REPLY_SECONDS = 0.01
_LONGEST = 0.2
"""Seconds until an app hangs up: from before its request is read until after its response."""
_CONNECTIONS = 16
"""That many to the store are what the service may hold."""


async def ask(running: Environment, app: App) -> None:
    """Ask for the current session; the response must be just that."""
    response = await app.line.call("GET", CURRENT, Authorization=f"Bearer {app.access_token}")
    if response is None or response.status != HTTPStatus.OK:
        running.tally["good requests that failed"] += 1
        return
    running.tally["good responses"] += 1
    found = response.body["id"], response.body["user"]["sub"]
    running.tally["crossed"] += found != (app.session_id, app.subject)


async def hang_up(running: Environment, app: App) -> None:
    """Ask for the current session or for a successor, and cut the connection."""
    if running.choices.random() < 0.5:
        call = app.line.call("GET", CURRENT, Authorization=f"Bearer {app.access_token}")
    else:
        # Always the first one, whose successor stays unused: it is given again and again.
        call = app.line.call("POST", REFRESH, {"refresh_token": app.received[0]})
    try:
        await asyncio.wait_for(call, running.choices.random() * _LONGEST)
    except TimeoutError:
        running.tally["hung up before a response"] += 1
    running.tally["hung up"] += 1


async def main(folder: Path, given: argparse.Namespace) -> int:
    with ExitStack() as stack:
        valkey = stack.enter_context(standalone(folder / "valkey"))
        network = stack.enter_context(Proxy(valkey.port))
        async with environment(
            folder, given.seed, connections=2 * _AT_ONCE, STORE_URL=network.url
        ) as running:
            service, tally, choices = running.running.service, running.tally, running.choices
            await running.signed_in(_APPS)
            network.delay(_REPLY_SECONDS)
            while tally["hung up"] < given.cancelled:
                deeds = choices.choices([ask, hang_up, hang_up], k=_AT_ONCE)
                await asyncio.gather(
                    *(deed(running, choices.choice(running.apps)) for deed in deeds)
                )
            network.pass_through()
            for _ in range(10):
                await asyncio.gather(*(ask(running, app) for app in running.apps))
            held, opened = network.open, network.opened
            await service.stop()
            left = network.open
    facts = {
        "requests given up": tally["hung up"],
        "  of which before a response": tally["hung up before a response"],
        "good responses": tally["good responses"],
        "connections to the store, opened in all": opened,
        "connections to the store, held at the end": held,
    }
    promises = [
        Promise("responses with another's session", tally["crossed"]),
        Promise("good requests that failed", tally["good requests that failed"]),
        Promise("connections held beyond the limit", max(0, held - _CONNECTIONS)),
        Promise("connections left when the service had gone", left),
        Promise("replies that no command took", service.said("never retrieved", "Unclosed")),
    ]
    return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, cancelled=10_000)
