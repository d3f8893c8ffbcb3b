"""Measures the service against its peers: `python -m benchmarks --help` (benchmarks/README.md)."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from pathlib import Path

import uvloop

from benchmarks.contenders import VALKEY, Contender, Scenario, scenarios
from benchmarks.load import HOST
from benchmarks.report import Row, markdown, svg
from benchmarks.servers import (
    LOAD_CORE,
    ROOT,
    SERVER_CORE,
    CannotRun,
    Server,
    measure,
    prepare,
    running,
)
from benchmarks.upstream import Upstream, upstream
from tests.support.valkey.process import ProgramMissing
from tests.support.valkey.servers import standalone

_RESULTS = ROOT / "benchmarks" / "results"


class Bench:
    """All rounds of one call."""

    def __init__(self, folder: Path, fake: Upstream, rounds: int, seconds: float) -> None:
        self._folder = folder
        self._fake = fake
        self._rounds = rounds
        self._seconds = seconds
        self._starts = 0
        self.skipped: dict[str, str] = {}

    async def table(self, scenario: Scenario, peers: Sequence[Contender]) -> list[Row]:
        """Measure the service beside each peer; return the service's row and the peers'."""
        self._fake.delay = scenario.delay
        ours, rows = Row(scenario.ours), list[Row]()
        for peer in peers:
            print(f"{scenario.name}: {peer.name}", flush=True)
            row = Row(peer)
            try:
                await self._pair(scenario, ours, row)
            except CannotRun as reason:
                self.skipped[f"{scenario.name}: {peer.name}"] = str(reason)
            else:
                rows.append(row)
        return [ours, *rows]

    async def _pair(self, scenario: Scenario, ours: Row, peer: Row) -> None:
        async with AsyncExitStack() as stack:
            servers = [
                (row, await stack.enter_async_context(self._server(row.contender)))
                for row in (ours, peer)
            ]
            seconds = 0.0 if scenario.burst else self._seconds
            for row, server in servers:
                flow = row.contender.flow
                await measure(server, flow, min(1.0, seconds), scenario.connections)
            for _ in range(self._rounds):
                for row, server in servers:
                    flow = row.contender.flow
                    result, cpu = await measure(server, flow, seconds, scenario.connections)
                    row.results.append(result)
                    row.cpu.append(cpu)
            peer.beside = ours.results[-self._rounds :]

    def _server(self, contender: Contender) -> AbstractAsyncContextManager[Server]:
        self._starts += 1
        folder = self._folder / str(self._starts)
        return running(contender.command, folder, f"http://{HOST}:{self._fake.port}")


def main() -> int:
    """Install the peers, measure, and write the results. Exit code 1: a part was skipped."""
    given = _arguments()
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("The benchmarks need the cores 0 and 1.")
    wanted = set(given.peers.replace(",", " ").split())
    only = set(given.scenarios.replace(",", " ").split())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the servers, like Ctrl-C
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.sched_setaffinity(0, {LOAD_CORE})
        chosen = [one for one in scenarios(_valkey(stack, folder)) if not only or one.name in only]
        peers = {peer.peer or VALKEY for one in chosen for peer in one.peers}
        if unknown := wanted - peers:
            sys.exit(f"no such peer: {', '.join(unknown)}; there are: {', '.join(sorted(peers))}")
        missing = _install((wanted or peers) - {VALKEY})
        tables, skipped = uvloop.run(
            _measure(given, chosen, (wanted or peers) - missing.keys(), folder)
        )
    skipped = missing | skipped
    _write(tables, skipped, given, part=bool(wanted or only))
    return int(bool(skipped))


def _valkey(stack: ExitStack, folder: Path) -> str | None:
    # On the load generator's core: in production it is another machine.
    everysec = ("--appendfsync", "everysec")
    try:
        server = stack.enter_context(standalone(folder / VALKEY, appendonly=True, extra=everysec))
    except ProgramMissing as reason:
        print(f"{VALKEY} is skipped: {reason}", flush=True)
        return None
    return server.url


def _install(peers: set[str]) -> dict[str, str]:
    missing: dict[str, str] = {}
    for peer in sorted(peers):
        try:
            prepare(peer)
        except CannotRun as reason:
            missing[peer] = str(reason)
    return missing


async def _measure(
    given: argparse.Namespace, chosen: Sequence[Scenario], peers: set[str], folder: Path
) -> tuple[list[tuple[Scenario, list[Row]]], dict[str, str]]:
    async with upstream() as fake:
        bench = Bench(folder, fake, given.rounds, given.seconds)
        tables = []
        for scenario in chosen:
            some = [peer for peer in scenario.peers if (peer.peer or VALKEY) in peers]
            if some and len(rows := await bench.table(scenario, some)) > 1:
                tables.append((scenario, rows))
        return tables, bench.skipped


def _write(
    tables: Sequence[tuple[Scenario, Sequence[Row]]],
    skipped: dict[str, str],
    given: argparse.Namespace,
    *,
    part: bool,
) -> None:
    how = (
        f"Server on core {SERVER_CORE}, load generator and fake Authing on core {LOAD_CORE}; "
        f"{given.rounds} alternated rounds of {given.seconds:g} s; medians. Only ratios count."
    )
    name = "part" if part else "latest"
    page = markdown(tables, how, name)
    if skipped:
        page += "\n## Skipped\n\n" + "".join(f"- {peer}: {why}\n" for peer, why in skipped.items())
    _RESULTS.mkdir(exist_ok=True)
    (_RESULTS / f"{name}.md").write_text(page, "utf-8")
    (_RESULTS / f"{name}.svg").write_text(svg(tables), "utf-8")
    print(page)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", default="", help="names of folders in benchmarks/peers; valkey")
    parser.add_argument("--scenarios", default="", help="login, burst, refresh, check, authz")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
