"""Follow the feed of ended sessions while instances and the store are killed: it lacks no end.

Apps log out, are kicked or present an old token, over one instance with SQLite and over two with
Valkey. One reader polls and one keeps a stream open, each at a random instance after each failure.
`python -m tests.soak.revocations --help` lists the options.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path

import aiohttp

from tests.soak.fleet import SERVICE_KEY, fleet
from tests.soak.phone import App, Line, telephony
from tests.soak.run import Environment, Promise, over_each_store, run
from tests.support.valkey.servers import Server

APPS = 20
_FEED = "/internal/v1/revocations"
_KEY = f"Bearer {SERVICE_KEY}"
_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass(slots=True)
class End:
    """An end that the service has acknowledged. Times are of `time.monotonic()`."""

    reason: str
    sent_at: float
    acknowledged_at: float


@dataclass(slots=True)
class Reader:
    """What a reader has seen: the reason of each session, by when it came first, and its cursor."""

    environment: Environment
    cursor: str = ""
    reasons: dict[str, str] = field(default_factory=dict)
    came_at: dict[str, float] = field(default_factory=dict)
    repeated: int = 0

    def line(self) -> Line:
        service = self.environment.choices.choice(self.environment.running.services)
        return Line(self.environment.http, lambda: service.port)

    def see(self, event: dict[str, str]) -> None:
        self.repeated += event["sid"] in self.reasons
        self.reasons.setdefault(event["sid"], event["reason"])
        self.came_at.setdefault(event["sid"], time.monotonic())

    async def poll(self) -> None:
        while True:
            response = await self.line().call(
                "GET", f"{_FEED}?after={self.cursor}", Authorization=_KEY
            )
            if response is not None and response.status == HTTPStatus.OK:
                for event in response.body["events"]:
                    self.see(event)
                self.cursor = response.body["cursor"]
            await asyncio.sleep(0.1)

    async def stream(self) -> None:
        """Keep a stream open, and open the next one where it ended."""
        while True:
            with suppress(*_ERRORS):
                await self._read(self.line().port())
            await asyncio.sleep(0.05)

    async def _read(self, port: int | None) -> None:
        headers = {"Authorization": _KEY, "Accept": "text/event-stream"}
        headers["Last-Event-ID"] = self.cursor
        url = f"http://127.0.0.1:{port}{_FEED}"
        async with self.environment.http.get(url, headers=headers) as response:
            event_id = ""
            async for line in response.content:
                name, _, value = line.decode().strip().partition(": ")
                if name == "id":
                    event_id = value
                elif name == "data":
                    self.see(json.loads(value))
                    self.cursor = event_id

    def out_of_order(self, ends: dict[str, End]) -> int:
        """How many ends came after one that began when they were acknowledged already."""
        found, latest = 0, 0.0
        for session_id in self.reasons:
            if session_id in ends:
                found += ends[session_id].acknowledged_at < latest
                latest = max(latest, ends[session_id].sent_at)
        return found

    def promises(self, name: str, ends: dict[str, End]) -> list[Promise]:
        wrong = [e for e in ends if e in self.reasons and self.reasons[e] != ends[e].reason]
        return [
            Promise(f"ends that the {name} missed", len(ends.keys() - self.reasons.keys())),
            Promise(f"ends that came to the {name} out of order", self.out_of_order(ends)),
            Promise(f"ends that came to the {name} with another reason", len(wrong)),
        ]


async def _end(app: App, reason: str) -> None:
    match reason:
        case "logged_out":
            bearer = f"Bearer {app.access_token}"
            await app.ask("DELETE", "/v1/sessions/current", Authorization=bearer)
        case "kicked":
            path = f"/internal/v1/users/{app.subject}/sessions"
            await app.ask("DELETE", path, Authorization=_KEY)
        case _:
            await app.refresh()
            await app.refresh()
            await app.present(app.received[0])


async def _live(running: Environment, ends: dict[str, End], over: asyncio.Event) -> None:
    service = running.choices.choice(running.running.services)
    line = Line(running.http, lambda: service.port)
    while not over.is_set():
        app = running.app(f"owner-{len(running.apps)}", App, line)
        running.apps.append(app)
        reason = app.choices.choice(("logged_out", "kicked", "refresh_reused"))
        with app.noting():
            await app.sign_in()
            sent_at = time.monotonic()
            await _end(app, reason)
            ends[app.session_id] = End(reason, sent_at, time.monotonic())


async def _kill(running: Environment, store: Server | None, kills: int) -> None:
    """Kill the store or an instance about every second, and start it again."""
    for _ in range(kills):
        await asyncio.sleep(running.choices.uniform(0.5, 1.5))
        if store is not None and running.choices.random() < 1 / 3:
            store.kill()
            await asyncio.to_thread(store.start)
        else:
            service = running.choices.choice(running.running.services)
            await service.kill()
            await service.start()


async def _follow(running: Environment, store: Server | None, kills: int) -> int:
    ends: dict[str, End] = {}
    over, began = asyncio.Event(), time.monotonic()
    poller, stream = Reader(running), Reader(running)
    reading = [asyncio.create_task(poller.poll()), asyncio.create_task(stream.stream())]
    async with asyncio.TaskGroup() as group:
        for _ in range(APPS):
            group.create_task(_live(running, ends, over))
        await _kill(running, store, kills)
        await asyncio.sleep(2)
        over.set()
    seconds = time.monotonic() - began
    await asyncio.sleep(3)
    failed = sum(task.done() for task in reading)
    for task in reading:
        task.cancel()
    late = sorted(stream.came_at[e] - ends[e].acknowledged_at for e in ends if e in stream.came_at)
    facts = {
        "kills": kills,
        "ends acknowledged": len(ends),
        "ends a second": round(len(ends) / seconds),
        "events that came to the poller twice": poller.repeated,
        "events that came to the stream twice": stream.repeated,
        "stream behind, median, ms": _milliseconds(late, 50),
        "stream behind, 99th percentile, ms": _milliseconds(late, 99),
    }
    promises = [
        Promise("readers that failed", failed),
        *poller.promises("poller", ends),
        *stream.promises("stream", ends),
    ]
    return running.conclude(facts, promises)


def _milliseconds(late: Sequence[float], percentile: int) -> int:
    return round(1000 * statistics.quantiles(late, n=100)[percentile - 1])


async def main(folder: Path, given: argparse.Namespace) -> int:
    return await over_each_store(folder, partial(run_over, given), "--appendfsync", "always")


async def run_over(given: argparse.Namespace, folder: Path, server: Server | None, url: str) -> int:
    """Run once over two instances with this Valkey, or over one with SQLite."""
    instances = 1 if server is None else 2
    async with fleet(folder, instances, STORE_URL=url) as running, telephony() as http:
        return await _follow(Environment(running, http, given.seed), server, given.kills)


if __name__ == "__main__":
    run(main, kills=30)
