"""What one core and one store carry: `make capacity` writes the tables of docs/capacity.md.

The servers run as for `make bench`: the service on core 0; the load generator, the fake Authing and
Valkey on core 1. `--scale 0.01` tries everything with a hundredth of the counts, and only prints.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import uvloop

from app import keyfile
from benchmarks.contenders import scenarios, service
from benchmarks.fill import fill_sqlite, fill_valkey
from benchmarks.load import HOST, Flow, Memory
from benchmarks.plan import Cost, plan
from benchmarks.report import machine, rate, yes
from benchmarks.servers import LOAD_CORE, ROOT, SERVER_CORE, Server, measure, running
from benchmarks.upstream import Upstream, upstream
from tests.support.valkey.servers import Server as Valkey
from tests.support.valkey.servers import standalone

_PAGE = ROOT / "docs" / "capacity.md"
_START, _END = "<!-- measured -->\n", "<!-- /measured -->"
_SEED, _LOGINS, _VALKEY, _SQLITE = 10_000, 100_000, 1_000_000, 10_000_000
_ROUNDS = 3
_FLOWS = {one.name: one.ours.flow for one in scenarios(None)}
_LOGIN, _REFRESH = _FLOWS["login"], _FLOWS["refresh"]
_CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what was measured, the value with its unit, and its limit if it has one."""

    name: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None

    def __str__(self) -> str:
        limit = met = ""
        if self.most is not None:
            limit, met = f"≤ {self.most:.3g}{self.unit}", yes(self.value <= self.most)
        if self.least is not None:
            limit, met = f"≥ {self.least:.3g}{self.unit}", yes(self.value >= self.least)
        return f"| {self.name} | {self.value:.3g}{self.unit} | {limit} | {met} |"


class Setup:
    """What all figures share: a folder, the fake Authing, the scale, and the servers."""

    def __init__(self, folder: Path, stack: ExitStack, fake: Upstream, scale: float) -> None:
        self.folder = folder
        self.fake = fake
        self.seconds = max(0.3, 3 * min(1.0, scale))
        self.session_bytes: dict[str, float] = {}
        self._stack = stack
        self._scale = scale
        self._starts = 0
        keyfile.create(folder / "keys.json", "ES256")

    def count(self, full: int) -> int:
        """Return this number at the chosen scale, but enough for every connection."""
        return max(1_000, round(full * self._scale))

    def valkey(self) -> Valkey:
        """Start a Valkey, with an append-only file as in production."""
        everysec = ("--appendfsync", "everysec")
        return self._stack.enter_context(
            standalone(self._new_folder(), appendonly=True, extra=everysec)
        )

    def service(
        self, store_url: str, core: int = SERVER_CORE, **settings: str
    ) -> AbstractAsyncContextManager[Server]:
        """Run one process of the service. All have the same keys."""
        command = partial(
            service, store_url=store_url, keys=self.folder / "keys.json", settings=settings
        )
        return running(command, self._new_folder(), f"http://{HOST}:{self.fake.port}", core)

    def sqlite(self, name: str) -> str:
        """Return the STORE_URL of a file."""
        return f"sqlite:///{self.folder / name}"

    def _new_folder(self) -> Path:
        self._starts += 1
        return self.folder / str(self._starts)


async def costs(setup: Setup) -> dict[tuple[str, str], Cost]:
    """Measure a login, a refresh and a check of one process over each store."""
    found, valkey = {}, setup.valkey()
    for store, url in ("SQLite", setup.sqlite("costs.db")), ("Valkey", valkey.url):
        async with setup.service(url) as server:
            for name, flow in ("login", _LOGIN), ("refresh", _REFRESH), ("check", _FLOWS["authz"]):
                await measure(server, flow, setup.seconds / 3)
                before = _cpu(valkey)
                result, cpu = await measure(server, flow, setup.seconds)
                done = len(result.latencies)
                found[store, name] = Cost(
                    rate=rate(result),
                    p99=quantiles(result.latencies, n=100)[98],
                    process=cpu / done,
                    valkey=(_cpu(valkey) - before) / done if url == valkey.url else 0.0,
                )
    return found


async def start(setup: Setup) -> list[Figure]:
    """Measure the time from the start of the process to the first 200 of /readyz."""
    taken = []
    for number in range(5):
        began = time.perf_counter()
        async with setup.service(setup.sqlite(f"start-{number}.db")) as server:
            while not _is_ready(server.port):
                pass
            taken.append(time.perf_counter() - began)
    return [Figure("Start to the first ready response, median of 5", median(taken), " s", most=0.8)]


async def memory(setup: Setup) -> list[Figure]:
    """Measure the memory (PSS) of a process with SQLite after many logins."""
    count = setup.count(_LOGINS)
    async with setup.service(setup.sqlite("memory.db")) as server:
        await _log_in(server, count // 2)
        half = _memory(server)
        await _log_in(server, count // 2)
        whole = _memory(server)
    return [
        Figure(f"Memory of the process after {count:,} logins, SQLite", whole, " MiB", most=100),
        Figure("of that, since half of them", max(0.0, whole - half), " MiB", most=2),
    ]


async def sqlite_growth(setup: Setup) -> list[Figure]:
    """Compare refreshes of a file with many sessions and of one with few."""
    small, large = setup.folder / "small.db", setup.folder / "large.db"
    async with setup.service(setup.sqlite(small.name)) as server:
        tokens = await _log_in(server, setup.count(_SEED))
    logins, stored = fill_sqlite(small, large, setup.count(_SQLITE))
    setup.session_bytes["SQLite"] = large.stat().st_size / stored
    urls = [setup.sqlite(small.name), setup.sqlite(large.name)]
    ratio = await _slowdown(setup, urls, [tokens, tokens])
    large.unlink()
    return [
        Figure("SQLite: file of 10,000 sessions", _mib(setup.session_bytes["SQLite"]), " MiB"),
        Figure(f"SQLite: refreshes/s at {logins:,} ÷ at {stored:,} sessions", ratio, most=1.3),
    ]


async def valkey_growth(setup: Setup) -> list[Figure]:
    """Compare refreshes of a Valkey with many sessions and of one with few."""
    few, many = servers = [setup.valkey(), setup.valkey()]
    tokens, empty = [], _used(many)
    for each in servers:
        async with setup.service(each.url) as server:
            tokens.append(await _log_in(server, setup.count(_SEED)))
    before = _used(many)
    logins, copies = fill_valkey(many, setup.count(_VALKEY))
    setup.session_bytes["Valkey"] = (_used(many) - before) / copies
    with_tickets = (before - empty) / logins
    ratio = await _slowdown(setup, [few.url, many.url], tokens)
    stored = f"{logins + copies:,}"
    return [
        Figure("Valkey: memory of 10,000 sessions", _mib(setup.session_bytes["Valkey"]), " MiB"),
        Figure("the same in the first minutes, with tickets", _mib(with_tickets), " MiB"),
        Figure(f"Valkey: refreshes/s at {logins:,} ÷ at {stored} sessions", ratio, most=1.3),
    ]


async def sessions_of_one_user(setup: Setup) -> list[Figure]:
    """Compare Valkey's CPU for logins of a user with 1,000 sessions and of one with 10.

    Both have as many as the limit allows, so each login also replaces the oldest session.
    """
    spent = []
    setup.fake.users = 1
    for limit in 10, 1000:
        valkey = setup.valkey()
        async with setup.service(valkey.url, SESSION_MAX_PER_USER=str(limit)) as server:
            await _log_in(server, 1000)
            before = _cpu(valkey)
            result, _ = await measure(server, _LOGIN, setup.seconds)
            spent.append((_cpu(valkey) - before) / len(result.latencies))
    setup.fake.users = 100_000
    name = "Valkey: CPU of a login, user with 1,000 sessions ÷ with 10"
    return [Figure(name, spent[1] / spent[0], most=1.3)]


async def two_processes(setup: Setup) -> list[Figure]:
    """Compare refreshes of two processes over one Valkey with those of one alone.

    With three cores or more, each process has a core of its own. With two, the second one shares
    its core with the load generator and Valkey, so the rates tell little. But the CPU time of a
    refresh tells whether processes hinder each other: at 1 / 0.85 of it, two still do 1.7 times.
    """
    valkey, rates, spent = setup.valkey(), list[float](), list[float]()
    second = LOAD_CORE + 1 if _CORES > LOAD_CORE + 1 else LOAD_CORE
    async with setup.service(valkey.url) as one, setup.service(valkey.url, second) as other:
        for servers in ([one], [one, other]) * _ROUNDS:
            runs = (measure(each, _REFRESH, setup.seconds) for each in servers)
            done = await asyncio.gather(*runs)
            rates.append(sum(rate(result) for result, _ in done))
            spent.append(sum(cpu for _, cpu in done) / sum(len(r.latencies) for r, _ in done))
    sums = median(rates[1::2]) / median(rates[::2])
    costs = median(spent[1::2]) / median(spent[::2])
    on_two = f"Valkey: refreshes/s of two processes ÷ of one, on {min(_CORES, 3)} cores"
    return [
        Figure(on_two, sums, least=1.7 if second > LOAD_CORE else None),
        Figure("Valkey: CPU of a refresh, two processes ÷ one", costs, most=1 / 0.85),
    ]


async def _log_in(server: Server, count: int) -> list[str]:
    """Log in at least so many times; return the refresh tokens, but the last of each connection."""
    tokens, done = list[str](), 0

    def build(memory: Memory) -> bytes:
        if "refresh_token" in memory:
            tokens.append(memory.pop("refresh_token"))  # once, even if the next request fails
        return _LOGIN.request(memory)

    while done < count:
        result, _ = await measure(server, replace(_LOGIN, request=build, learns=True), 1.0)
        done += len(result.latencies)
    return tokens


async def _slowdown(setup: Setup, urls: Sequence[str], tokens: Sequence[Sequence[str]]) -> float:
    """Return the refreshes a second over the first store, divided by those over the second."""
    flows = [_in_turn(deque(some)) for some in tokens]
    rates: list[list[float]] = [[], []]
    async with setup.service(urls[0]) as one, setup.service(urls[1]) as other:
        for _ in range(_ROUNDS):
            for server, flow, found in zip((one, other), flows, rates, strict=True):
                found.append(rate((await measure(server, flow, setup.seconds))[0]))
    return median(rates[0]) / median(rates[1])


def _in_turn(tokens: deque[str]) -> Flow:
    """Refresh all sessions in turn, so that no part of the store is always in a cache."""

    def build(memory: Memory) -> bytes:
        if "refresh_token" in memory:
            tokens.append(memory.pop("refresh_token"))
        return _REFRESH.request({"refresh_token": tokens.popleft()})

    return Flow(build, learns=True)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz"):
            return True
    except urllib.error.HTTPError:
        return False


def _memory(server: Server) -> float:
    # The proportional set size, in MiB: what processes share counts for each in part.
    rollup = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    return int(rollup.partition("\nPss:")[2].split()[0]) / 1024


def _info(valkey: Valkey, name: str) -> float:
    text: str = valkey.cli("INFO", "everything")
    return float(text.partition(f"\n{name}:")[2].split()[0])


def _cpu(valkey: Valkey) -> float:
    return _info(valkey, "used_cpu_user") + _info(valkey, "used_cpu_sys")


def _used(valkey: Valkey) -> float:
    return _info(valkey, "used_memory")


def _mib(session_bytes: float) -> float:
    return session_bytes * 10_000 / 2**20


async def _measure(folder: Path, stack: ExitStack, scale: float, only: str) -> str:
    async with upstream() as fake:
        setup, figures = Setup(folder, stack, fake, scale), list[Figure]()
        found = {} if only else await costs(setup)
        for name, part in _PARTS.items():
            if only in {"", name}:
                print(name, flush=True)
                figures += await part(setup)
    table = ["| | measured | limit | met |", "|---|---|---|---|", *map(str, figures), ""]
    if found:
        head = (
            "| one process on one core | /s | p99 ms | CPU, µs | Valkey's CPU, µs | a Valkey, /s |"
        )
        rows = (f"| {name}, {store} | {cost} |" for (store, name), cost in found.items())
        table = [head, "|---|---|---|---|---|---|", *rows, "", *table]
        table += [*plan(found, setup.session_bytes), ""]
    return "\n".join((machine(), "", *table))


def main() -> None:
    """Measure and print; write everything, at scale 1, into docs/capacity.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="", choices=("", *_PARTS), help="one part of the figures")
    given = parser.parse_args()
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("The benchmarks need the cores 0 and 1.")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the servers, like Ctrl-C
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        text = uvloop.run(_measure(folder, stack, given.scale, given.only))
    print(text)
    if given.scale == 1 and not given.only:
        before, _, rest = _PAGE.read_text("utf-8").partition(_START)
        _PAGE.write_text(f"{before}{_START}{text}{_END}{rest.partition(_END)[2]}", "utf-8")


_PARTS = {
    "start": start,
    "memory": memory,
    "sqlite-growth": sqlite_growth,
    "valkey-growth": valkey_growth,
    "many-sessions": sessions_of_one_user,
    "two-processes": two_processes,
}

if __name__ == "__main__":
    main()
