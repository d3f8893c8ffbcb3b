"""Run for 20 minutes at half load with 1 % faults: nothing that the service holds may grow.

Apps refresh, look around, log out and in again. Their pace follows the CPU time of the service, so
that it uses half a core. One response in 100 is lost on its way, and one exchange in 100 fails at
Authing in one of eleven ways. Every second the run reads memory, descriptors, tasks of the event
loop, threads, and the size of the write-ahead log. It compares the last fifth of the run with the
second one: the first fifth fills caches. `python -m tests.soak.soak --help` lists the options.
"""

import argparse
import asyncio
import os
import random
import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.soak.phone import App, Line
from tests.soak.proxies import FlakyAuthing, LossyProxy
from tests.soak.run import Environment, Promise, environment, read_file, run

FAULTS = 0.01
LOAD = 0.5
GROWTH: Mapping[str, float] = {
    "memory, MiB": 4,
    "descriptors": 50,
    "tasks of the event loop": 50,
    "threads": 0,
    "write-ahead log, MiB": 1,
}
"""What may differ between the medians of the last and the second fifth of the run.

Up to 100 connections are open at once, so descriptors and tasks vary by dozens. A leak in one of
100 requests would show as thousands.
"""
_PROGRAM = ("-m", "tests.soak.counted_service")
_MIB = 1 << 20


@dataclass(slots=True)
class Readings:
    """What the service holds, read once a second."""

    pid: int
    folder: Path
    store: Path
    series: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in GROWTH})
    cpu: list[float] = field(default_factory=list)
    """Seconds of CPU time since the start of the service."""

    def read(self) -> None:
        process = Path(f"/proc/{self.pid}")
        memory = re.findall(r"^Rss: +(\d+)", (process / "smaps_rollup").read_text(), re.MULTILINE)
        times = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
        found = (
            int(memory[0]) / 1024,
            len(list((process / "fd").iterdir())),
            int((self.folder / "tasks").read_text() or 0),
            len(list((process / "task").iterdir())),
            self.store.with_name(f"{self.store.name}-wal").stat().st_size / _MIB,
        )
        for values, value in zip(self.series.values(), found, strict=True):
            values.append(value)
        self.cpu.append(sum(map(int, times)) / os.sysconf("SC_CLK_TCK"))

    @property
    def load(self) -> float:
        """The share of a core that the service used since the last reading."""
        return self.cpu[-1] - self.cpu[-2] if len(self.cpu) > 1 else 0.0


def fifths(values: list[float]) -> tuple[float, float]:
    """The medians of the second and the last fifth."""
    length = len(values) // 5
    return statistics.median(values[length : 2 * length]), statistics.median(values[-length:])


@dataclass(slots=True)
class Soak:
    """Apps that live at a common pace. `pause` is in seconds."""

    running: Environment
    line: Line
    end: float
    pause: float = 0.3

    async def live(self, app: App) -> None:
        """Refresh and look around; one action in 50 is a logout and a new login."""
        with app.noting():
            await app.sign_in()
            while time.monotonic() < self.end and app.ended is None:
                await asyncio.sleep(self.pause * (0.5 + app.choices.random()))
                await self._act(app)

    async def _act(self, app: App) -> None:
        chance = app.choices.random()
        if chance < 0.02:
            await app.ask(
                "DELETE", "/v1/sessions/current", Authorization=f"Bearer {app.access_token}"
            )
            app.received.clear()
            app.keys.clear()
            await app.sign_in()
        elif chance < 0.4:
            await app.look()
        else:
            await app.refresh()

    async def watch(self, readings: Readings) -> None:
        """Read once a second, and let the pace follow the load."""
        while time.monotonic() < self.end:
            await asyncio.sleep(1)
            await asyncio.to_thread(readings.read)
            step = min(1.25, max(0.8, readings.load / LOAD))
            self.pause = min(10, max(0.01, self.pause * step))


async def main(folder: Path, given: argparse.Namespace) -> int:
    authing = FlakyAuthing(random.Random(given.seed), faulty=FAULTS)
    async with (
        authing.listening() as authing_port,
        environment(
            folder,
            given.seed,
            program=_PROGRAM,
            AUTHING_BASE_URL=f"http://127.0.0.1:{authing_port}",
        ) as running,
    ):
        authing.upstream = running.running.authing.port or 0
        authing.become("flapping")
        service, choices = running.running.service, running.choices
        lossy = LossyProxy(choices, lambda: service.port, drops=1, doubles=0)
        async with lossy.listening() as lossy_port:
            line = Line(
                running.http, lambda: lossy_port if choices.random() < FAULTS else service.port
            )
            readings = Readings(service.pid, service.folder, running.running.store)
            running.apps += [running.app(f"owner-{n}", App, line) for n in range(given.apps)]
            soak = Soak(running, line, time.monotonic() + given.seconds)
            await asyncio.gather(soak.watch(readings), *map(soak.live, running.apps))
        await service.stop()
        return report(running, readings, authing, lossy)


def report(
    running: Environment, readings: Readings, authing: FlakyAuthing, lossy: LossyProxy
) -> int:
    loads = [later - sooner for sooner, later in pairwise(readings.cpu)]
    facts: dict[str, object] = {
        "seconds": len(readings.cpu),
        **running.counted("requests", "refreshes rotated", "refreshes replayed"),
        "requests a second": round(running.tally["requests"] / len(readings.cpu)),
        "share of a core, median": f"{statistics.median(loads):.0%}",
        "exchanges": authing.tally["exchanges"],
        "  of which failed on purpose": authing.tally["faults"],
        "responses dropped": lossy.tally["responses dropped"],
    }
    promises = []
    for name, values in readings.series.items():
        before, after = fifths(values)
        facts[name] = f"{before:.1f} -> {after:.1f}"
        grown = after - before > GROWTH[name]
        promises.append(Promise(f"{name}: grew by more than {GROWTH[name]}", int(grown)))
    ended = sum(app.ended is not None for app in running.apps)
    kept = read_file(running.running.store)
    promises += [
        Promise("sessions that ended without a reason", ended),
        Promise("damage to the file", int(kept.damage != "")),
        Promise("failures of the store", running.running.service.said('"store_failed"')),
    ]
    return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, seconds=1200, apps=200)
