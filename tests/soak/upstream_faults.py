"""Let Authing fail under load: only logins are affected, and every resource is released.

Thousands of clients disconnect during an exchange; Authing fails at random for minutes; while it
hangs, refreshes stay fast. `python -m tests.soak.upstream_faults --help` lists the options.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path

from tests.soak.phone import LOGIN, RELAUNCHES, Answer, App, Line
from tests.soak.proxies import SLOW_SECONDS, FlakyAuthing, Mood
from tests.soak.run import Environment, Promise, environment, run
from tests.soak.sampler import Sample, Sampler, refresh, sampler_of

LOGINS_PER_SECOND = 50
REFRESHES_PER_SECOND = 100
PHONES_AT_ONCE = 20
AFTERWARDS = 20
PHASE_SECONDS = 3.0
_SETTLING = 0.5
_LATEST = 6.5  # the deadline of an exchange by default, and half a second
_IN_THE_TABLE = {
    (201, ""),
    (502, "authing_bad_answer"),
    (503, "authing_unavailable"),
    (503, "authing_timeout"),
    (503, "authing_overloaded"),
}


@dataclass(slots=True)
class UpstreamFaults:
    """The service between apps and an Authing that fails. `line` notes every response."""

    environment: Environment
    authing: FlakyAuthing
    rounds: list[dict[Mood, Sample]] = field(default_factory=list)
    seen: list[tuple[Answer | None, float]] = field(default_factory=list)
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        self.line = replace(self.environment.service, seen=self.seen)

    async def hang_up(self, how_many: int) -> None:
        """Have so many phones hang up during an exchange; then sign some in."""
        self.authing.become("slow")
        tally, numbers = self.environment.tally, iter(range(3 * how_many))

        async def phones() -> None:
            for number in numbers:
                call = asyncio.create_task(self._log_in(f"made-up-ticket-{number}", number))
                await asyncio.sleep(self.environment.choices.uniform(0, SLOW_SECONDS))
                call.cancel()
                await asyncio.wait([call])
                tally["hung up" if call.cancelled() else "were faster"] += 1
                tally["in exchange"] = self.authing.tally["exchanges"] - tally["were faster"]
                if tally["in exchange"] >= how_many:
                    return

        await asyncio.gather(*(phones() for _ in range(PHONES_AT_ONCE)))
        self.authing.become("well")
        apps = [self._app(f"afterwards-{number}") for number in range(AFTERWARDS)]
        self.seen.clear()
        await asyncio.gather(*(self._sign_in(app) for app in apps))
        self.environment.tally["afterwards"] = sum(
            response is not None and response.status == HTTPStatus.CREATED
            for response, _seconds in self.seen[:AFTERWARDS]
        )

    async def flap(self, seconds: int) -> None:
        """Sign in so often a second while Authing flaps; each phone goes on until it is in."""
        self.seen.clear()
        self.authing.become("flapping")
        apps = [self._app(f"flapping-{n}") for n in range(LOGINS_PER_SECOND * seconds)]
        await _steadily(LOGINS_PER_SECOND, [partial(self._sign_in, app) for app in apps])
        self.authing.become("well")
        self.environment.tally["tickets"] = len(apps)

    async def compare(self, rounds: int, sampler: Sampler) -> None:
        """Refresh at the same pace while Authing is well and while it hangs, in either order.

        The same number of logins fails in both: a made-up ticket is refused, or gets no slot.
        """
        moods: list[Mood] = ["well", "hanging"]
        for number in range(rounds):
            self.rounds.append({})
            for mood in moods:
                app = self._app(f"refreshing-{mood}-{number}")
                await self._sign_in(app)
                self.authing.become(mood)
                logins = asyncio.create_task(self._log_in_steadily(f"made-up-{mood}-{number}"))
                await asyncio.sleep(_SETTLING)
                self.rounds[-1][mood] = await sampler.sample(
                    refresh, app.received[-1], REFRESHES_PER_SECOND, PHASE_SECONDS
                )
                self.authing.become("well")
                await logins
                await asyncio.sleep(_SETTLING)  # what hung is answered outside the measurement
            moods.reverse()

    def slowdown(self) -> float:
        """How many times as long refreshes take while Authing hangs, at the 99th percentile.

        The median over the rounds: over all refreshes, two or three stalls of the disk decide the
        percentile, because each delays all apps at once.
        """
        return statistics.median(
            each["hanging"].percentile(0.99) / each["well"].percentile(0.99) for each in self.rounds
        )

    def _app(self, name: str) -> App:
        app = self.environment.app(name, App, self.line)
        self.environment.apps.append(app)
        return app

    async def _log_in(self, ticket: str, number: int) -> None:
        """Log in once, from the network of this number."""
        network = {"X_Forwarded_For": f"2001:db8:{number:x}::1"}
        await self.line.call("POST", LOGIN, {"ticket": ticket}, **network)

    async def _sign_in(self, app: App) -> None:
        with app.noting():
            await app.sign_in()
            self.environment.tally["signed in"] += 1

    async def _log_in_steadily(self, name: str) -> None:
        # Each from another network, and not awaited: some hang until the mood changes.
        logins: list[Callable[[], Awaitable[object]]] = [
            partial(self._log_in, f"{name}-{number}", number)
            for number in range(int(LOGINS_PER_SECOND * (_SETTLING + PHASE_SECONDS)))
        ]
        await _steadily(LOGINS_PER_SECOND, logins, wait=False)


async def _steadily(
    rate: int, actions: list[Callable[[], Awaitable[object]]], *, wait: bool = True
) -> None:
    """Begin so many actions a second, however long they take."""
    began, tasks = time.monotonic(), []
    for number, action in enumerate(actions):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.ensure_future(action()))
    if wait:
        await asyncio.gather(*tasks)


async def main(folder: Path, given: argparse.Namespace) -> int:
    authing = FlakyAuthing(random.Random(given.seed))
    async with (
        authing.listening() as port,
        environment(
            folder,
            given.seed,
            connections=1000,
            AUTHING_BASE_URL=f"http://127.0.0.1:{port}",
            TRUSTED_PROXIES="127.0.0.1",
        ) as running,
    ):
        authing.upstream = running.running.authing.port or 0
        faults = UpstreamFaults(running, authing)
        await faults.hang_up(given.disconnects)
        await faults.flap(given.seconds)
        responses = faults.seen.copy()
        with sampler_of(running.running) as sampler:
            await faults.compare(given.rounds, sampler)
    tally, slowdown = running.tally, faults.slowdown()
    told = [(response.status, response.code) for response, _ in responses if response is not None]
    tickets = tally["tickets"] + AFTERWARDS + 2 * given.rounds
    samples = [sample for each in faults.rounds for sample in each.values()]
    codes = Counter(code or "session" for _, code in told)
    facts = {
        "phones that hung up": tally["hung up"],
        "exchanges at Authing": authing.tally["exchanges"],
        "of which it failed": authing.tally["faults"],
        **{f"  responses: {code}": count for code, count in sorted(codes.items())},
        "slowest response, seconds": f"{max(seconds for _, seconds in responses):.1f}",
        "refreshes compared": sum(len(sample.seconds) for sample in samples),
        "  p99 as a ratio, median of rounds": f"{slowdown:.2f}",
    }
    promises = [
        Promise(
            "phones that hung up during an exchange",
            min(tally["in exchange"], given.disconnects),
            given.disconnects,
        ),
        Promise("logins after that, at the first try", tally["afterwards"], AFTERWARDS),
        Promise("requests without a response", len(responses) - len(told)),
        Promise("responses with status 500", sum(status == 500 for status, _ in told)),
        Promise("responses that are not in the table", sum(t not in _IN_THE_TABLE for t in told)),
        Promise("responses later than 6.5 s", sum(seconds > _LATEST for _, seconds in responses)),
        Promise("tickets that became a session", tally["signed in"], tickets),
        Promise("tickets that had to be replaced", tally[RELAUNCHES]),
        Promise("refreshes that failed", sum(sample.failed for sample in samples)),
        Promise("refreshes slower by more than 20 %", int(slowdown > 1.2)),
    ]
    return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, disconnects=10_000, seconds=120, rounds=20)
