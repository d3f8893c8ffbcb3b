"""Common parts of the soak runs: options, the service with its apps, kills, store and report.

One seed, which is printed, fixes every random choice. It does not fix how processes interleave.
"""

import argparse
import asyncio
import random
import secrets
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import aiohttp
import uvloop
from redis.asyncio import Redis

from app.stores.redis.codec import SESSION_PREFIX
from tests.soak.fleet import SERVICE, Fleet, Server, fleet
from tests.soak.phone import App, Line, new_ticket, telephony
from tests.support.valkey.servers import Server as ValkeyServer
from tests.support.valkey.servers import standalone

AnApp = TypeVar("AnApp", bound=App)
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Promise:
    """A number that must be exactly this."""

    text: str
    found: int
    promised: int = 0

    @property
    def kept(self) -> bool:
        return self.found == self.promised

    def __str__(self) -> str:
        count = f"{self.found:,} of {self.promised:,}" if self.promised else f"{self.found:,}"
        return f"{self.text:44}{count:>12}  {'kept' if self.kept else 'BROKEN'}"


@dataclass(frozen=True, slots=True)
class Kept:
    """`subjects` is whose each session is, by its id. `damage` is empty if the file is sound."""

    subjects: dict[str, str]
    damage: str = ""

    def users_with_two(self) -> int:
        return sum(count > 1 for count in Counter(self.subjects.values()).values())


@dataclass(slots=True)
class Owner(App):
    """An app that counts what must not happen.

    `twins`: a refresh token had two successors. `undead`: a token that worked after its session had
    ended. `strangers`: a ticket gave another session the second time.
    """

    twins: int = 0
    undead: int = 0
    strangers: int = 0

    async def refresh_in_tabs(self, tabs: int) -> None:
        newest = self.received[-1]
        responses = await asyncio.gather(*(self.present(newest) for _ in range(tabs)))
        successors = {a.body["refresh_token"] for a in responses if a.status == HTTPStatus.OK}
        self.twins += len(successors) > 1
        for response in responses:
            self.take(response)

    async def take_stock(self) -> None:
        """Use the last token when all is calm; then end the session by showing its first one."""
        if self.confused or self.ended is not None:
            return  # it is known already
        with self.noting():
            await self.refresh_in_tabs(2)
            await self.refresh_in_tabs(1)
            await self.present(self.received[0])
            responses = [await self.present(token) for token in self.received]
            self.undead = sum(response.status == HTTPStatus.OK for response in responses)


@dataclass(slots=True)
class Environment:
    """The running processes and the apps that use them. `tally` counts what happened to all apps.

    `service` and `authing` send requests to the first instance and to the fake Authing.
    """

    running: Fleet
    http: aiohttp.ClientSession
    seed: int
    tally: Counter[str] = field(default_factory=Counter)
    apps: list[App] = field(default_factory=list)
    choices: random.Random = field(init=False)
    service: Line = field(init=False)
    authing: Line = field(init=False)

    def __post_init__(self) -> None:
        self.choices = random.Random(self.seed)
        self.service = Line(self.http, lambda: self.running.service.port)
        self.authing = Line(self.http, lambda: self.running.authing.port)

    def app(self, persona: str, kind: type[AnApp], line: Line | None = None) -> AnApp:
        """Make an app of this persona, which has no session yet."""
        choices = random.Random(self.choices.random())
        return kind(
            line or self.service, partial(new_ticket, self.authing, persona), choices, self.tally
        )

    async def signed_in(self, number: int) -> None:
        self.apps += [self.app(f"owner-{n}", App) for n in range(number)]
        await asyncio.gather(*(app.sign_in() for app in self.apps))

    def counted(self, *names: str) -> dict[str, int]:
        return {name: self.tally[name] for name in names}

    @property
    def owners(self) -> list[Owner]:
        return [app for app in self.apps if isinstance(app, Owner)]

    def kept_by_owners(self) -> list[Promise]:
        lost = sum(owner.ended is not None for owner in self.owners)
        doubled = sum(owner.twins + owner.undead for owner in self.owners)
        return [
            Promise("acknowledged sessions lost", lost),
            Promise("sessions with two live successors", doubled),
        ]

    def in_the_store(self, kept: Kept) -> list[Promise]:
        known, stored = {app.session_id for app in self.apps}, kept.subjects.keys()
        return [
            Promise("acknowledged sessions not in the store", len(known - stored)),
            Promise("sessions that no app received", len(stored - known)),
            Promise("users with two sessions", kept.users_with_two()),
            Promise("damage to the file", int(kept.damage != "")),
        ]

    def conclude(self, facts: Mapping[str, object], promises: list[Promise]) -> int:
        """Print what happened and what was promised; 0 only if every promise was kept."""
        confused = Counter(app.confused for app in self.apps if app.confused)
        for response, count in confused.items():
            print("unexpected:", response, count)
        for name, value in {"seed": self.seed, **facts}.items():
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            print(f"{name:44}{shown:>12}")
        every_run = (
            Promise("responses that no app can expect", confused.total()),
            Promise("bugs in the service's log", self.running.service.bugs()),
        )
        print("", *promises, *every_run, sep="\n")
        return 0 if all(promise.kept for promise in (*promises, *every_run)) else 1


@asynccontextmanager
async def environment(
    folder: Path,
    seed: int,
    *,
    connections: int = 100,
    program: Sequence[str] = SERVICE,
    **settings: str,
) -> AsyncIterator[Environment]:
    """Start the service and its fake Authing. `settings` are added to its environment."""
    async with (
        fleet(folder, 1, program=program, **settings) as running,
        telephony(connections) as http,
    ):
        yield Environment(running, http, seed)


Main: TypeAlias = Callable[[Path, argparse.Namespace], Coroutine[Any, Any, int]]


def run(main: Main, **numbers: int) -> None:
    """Run `main` in a temporary folder and exit; `numbers` are its options with their defaults."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    for option, default in numbers.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        sys.exit(runner.run(main(Path(folder), given)))


RunOver: TypeAlias = Callable[[Path, ValkeyServer | None, str], Awaitable[int]]


async def over_each_store(folder: Path, run_over: RunOver, *extra: str) -> int:
    """Run over SQLite, then over Valkey, with the URL of the store; return the worse exit code.

    `extra` are more arguments of Valkey, which keeps an append-only file.
    """
    print("\n--- over SQLite ---")
    (folder / "sqlite").mkdir()
    url = f"sqlite:///{folder}/sqlite/sessions.db"
    code = await run_over(folder / "sqlite", None, url)
    print("\n--- over Valkey ---")
    with standalone(folder / "valkey", appendonly=True, extra=extra) as server:
        return max(code, await run_over(server.folder, server, server.url))


async def kill_again_and_again(
    service: Server, progress: Callable[[], int], gaps: Sequence[int]
) -> None:
    """Kill the service and start it again, each time when progress has grown by the next gap."""
    for gap in gaps:
        moment = progress() + gap
        while progress() < moment:  # noqa: ASYNC110  # counting a request must not cost it an event
            await asyncio.sleep(_POLL_SECONDS)
        await service.kill()
        await service.start()


def read_file(file: Path) -> Kept:
    """Read the SQLite file. No other process may have it open."""
    with closing(sqlite3.connect(file)) as db:
        (found,) = db.execute("PRAGMA integrity_check").fetchone()
        rows = db.execute("SELECT id, subject FROM sessions").fetchall()
    return Kept(dict(rows), "" if found == "ok" else str(found))


async def read_valkey(url: str) -> Kept:
    """Read the sessions in Valkey, tombstones included."""
    async with Redis.from_url(url, decode_responses=True, protocol=2) as client:
        keys = [str(key) async for key in client.scan_iter(SESSION_PREFIX + "*", count=1000)]
        subjects = [str(await client.hget(key, "subject")) for key in keys]
    return Kept(dict(zip((key.rpartition(":")[2] for key in keys), subjects, strict=True)))
