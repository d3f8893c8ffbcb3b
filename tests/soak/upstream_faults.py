"""Let Authing fail under load: only logins are affected, and every resource is released.

Thousands of clients disconnect during an exchange; Authing fails at random for minutes; while it
hangs, refreshes stay fast. `python -m tests.soak.upstream_faults --help` lists the options.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from tests.soak.flaky_authing import SLOW_SECONDS, FlakyAuthing, Mood
from tests.soak.fleet import Fleet, fleet
from tests.soak.phone import LOGIN, Answer, App, Line, Unexpected, new_ticket, telephony
from tests.soak.run import Promise, conclude, run

LOGINS_PER_SECOND = 50
PHONES_AT_ONCE = 50
REFRESHERS = 20
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


@dataclass(frozen=True, slots=True)
class Witness(Line):
    """A line that notes every answer, and after how many seconds it came."""

    seen: list[tuple[Answer | None, float]] = field(default_factory=list)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer | None:
        """See Line."""
        started = time.monotonic()
        answer = await Line.call(self, method, path, body, **headers)
        self.seen.append((answer, time.monotonic() - started))
        return answer


@dataclass(slots=True)
class RunningApp:
    """Everybody who takes part."""

    running: Fleet
    authing: FlakyAuthing
    http: aiohttp.ClientSession
    choices: random.Random
    tally: Counter[str] = field(default_factory=Counter)
    confused: Counter[str] = field(default_factory=Counter)
    refreshes: dict[Mood, list[float]] = field(default_factory=lambda: {"well": [], "hanging": []})
    line: Witness = field(init=False)

    def __post_init__(self) -> None:
        self.line = Witness(self.http, lambda: self.running.service.port)

    async def hang_up(self, how_many: int) -> None:
        """Have so many phones hang up in the middle of an exchange; then sign some in."""
        self.authing.become("slow")
        awake = asyncio.Semaphore(PHONES_AT_ONCE)

        async def phone(number: int) -> None:
            async with awake:
                login = self.line.call("POST", LOGIN, {"ticket": f"made-up-ticket-{number}"})
                call = asyncio.create_task(login)
                await asyncio.sleep(self.choices.uniform(0, SLOW_SECONDS))
                call.cancel()
                await asyncio.wait([call])
                self.tally["hung up"] += call.cancelled()

        await asyncio.gather(*(phone(number) for number in range(how_many)))
        self.authing.become("well")
        apps = [self._app(f"afterwards-{number}") for number in range(AFTERWARDS)]
        self.line.seen.clear()
        await asyncio.gather(*(self._sign_in(app) for app in apps))
        self.tally["afterwards"] = sum(
            answer is not None and answer.status == HTTPStatus.CREATED
            for answer, _seconds in self.line.seen[:AFTERWARDS]
        )

    async def flap(self, seconds: int) -> None:
        """Sign in so often a second while Authing flaps; each phone goes on until it is in."""
        self.line.seen.clear()
        self.authing.become("flapping")
        apps = [self._app(f"flapping-{n}") for n in range(LOGINS_PER_SECOND * seconds)]
        await _steadily(LOGINS_PER_SECOND, [partial(self._sign_in, app) for app in apps])
        self.authing.become("well")
        self.tally["tickets"] = len(apps)

    async def compare(self, rounds: int) -> None:
        """Refresh at the same pace while Authing is well and while it hangs, by turns."""
        apps = [self._app(f"refreshing-{number}") for number in range(REFRESHERS)]
        await asyncio.gather(*(self._sign_in(app) for app in apps))
        for number in range(rounds):
            for mood in self.refreshes:
                self.authing.become(mood)
                await asyncio.gather(
                    self._log_in_steadily(f"made-up-{mood}-{number}"),
                    *(self._refresh_for_a_while(app, self.refreshes[mood]) for app in apps),
                )
        self.authing.become("well")

    def slowdown(self) -> float:
        """How many times as long refreshes take while Authing hangs, at the 99th percentile."""
        well, hanging = (statistics.quantiles(each, n=100)[98] for each in self.refreshes.values())
        return hanging / well

    def _app(self, name: str) -> App:
        authing = Line(self.http, lambda: self.running.authing.port)
        choices = random.Random(self.choices.random())
        return App(self.line, partial(new_ticket, authing, name), choices, self.tally)

    async def _sign_in(self, app: App) -> None:
        try:
            await app.sign_in()
            self.tally["signed in"] += 1
        except Unexpected as error:
            self.confused[str(error)] += 1

    async def _log_in_steadily(self, name: str) -> None:
        # Nobody waits for these: they hang until the mood changes.
        bodies = [{"ticket": f"{name}-{n}"} for n in range(int(LOGINS_PER_SECOND * PHASE_SECONDS))]
        await _steadily(
            LOGINS_PER_SECOND,
            [partial(self.line.call, "POST", LOGIN, body) for body in bodies],
            wait=False,
        )

    async def _refresh_for_a_while(self, app: App, durations: list[float]) -> None:
        began = time.monotonic()
        await asyncio.sleep(self.choices.uniform(0, _SETTLING))
        while (started := time.monotonic()) < began + PHASE_SECONDS:
            try:
                await app.refresh()
            except Unexpected as error:
                self.confused[str(error)] += 1
                return
            if started > began + _SETTLING:
                durations.append(time.monotonic() - started)
            await asyncio.sleep(0.1)


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


def _facts(
    world: RunningApp, answers: list[tuple[Answer | None, float]], seed: int
) -> dict[str, Any]:
    codes = Counter(answer.code or "session" for answer, _ in answers if answer is not None)
    well, hanging = world.refreshes.values()
    return {
        "seed": seed,
        "exchanges at Authing": world.authing.tally["exchanges"],
        "of which it failed": world.authing.tally["faults"],
        **{f"  answers: {code}": count for code, count in sorted(codes.items())},
        "slowest answer, seconds": f"{max(seconds for _, seconds in answers):.1f}",
        "refreshes, Authing well": len(well),
        "refreshes, Authing hanging": len(hanging),
        "  p99 as a ratio": f"{world.slowdown():.2f}",
    }


def _promises(
    world: RunningApp, answers: list[tuple[Answer | None, float]], given: argparse.Namespace
) -> list[Promise]:
    told = [(answer.status, answer.code) for answer, _ in answers if answer is not None]
    tickets = world.tally["tickets"] + AFTERWARDS + REFRESHERS
    return [
        Promise("phones that hung up", world.tally["hung up"], given.disconnects),
        Promise("logins after that, at the first try", world.tally["afterwards"], AFTERWARDS),
        Promise("requests without an answer", len(answers) - len(told)),
        Promise("answers with status 500", sum(status == 500 for status, _ in told)),
        Promise("answers that are not in the table", sum(t not in _IN_THE_TABLE for t in told)),
        Promise("answers later than 6.5 s", sum(seconds > _LATEST for _, seconds in answers)),
        Promise("tickets that became a session", world.tally["signed in"], tickets),
        Promise("tickets that had to be replaced", world.tally["relaunches"]),
        Promise("refreshes slower by more than 20 %", int(world.slowdown() > 1.2)),
        Promise("answers that no app can expect", world.confused.total()),
        Promise("bugs in the service's log", world.running.service.bugs()),
    ]


async def _run(folder: Path, given: argparse.Namespace) -> int:
    choices = random.Random(given.seed)
    authing = FlakyAuthing(random.Random(choices.random()))
    async with (
        telephony(1000) as http,
        authing.listening() as port,
        fleet(folder, AUTHING_BASE_URL=f"http://127.0.0.1:{port}") as running,
    ):
        authing.upstream = running.authing.port
        world = RunningApp(running, authing, http, choices)
        await world.hang_up(given.disconnects)
        await world.flap(given.seconds)
        answers = world.line.seen.copy()
        await world.compare(given.rounds)
        for confused, count in world.confused.items():
            print("unexpected:", confused, count)
        return conclude(_facts(world, answers, given.seed), _promises(world, answers, given))


if __name__ == "__main__":
    numbers = {"disconnects": 10_000, "seconds": 120, "rounds": 10}
    sys.exit(run("upstream_faults", __doc__ or "", numbers, _run))
