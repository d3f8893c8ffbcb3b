"""Hold thousands of slow connections: they are closed in time, and other requests stay fast.

First good traffic runs alone, as a baseline; then beside slow clients that reconnect as soon as
they are closed. The service has cores of its own, and the crowd's process steps back for the good
traffic: else that would wait for another process and not for the service.
`python -m tests.soak.slow_clients --help` lists the options.
"""

import argparse
import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from app.server.connections import raise_fd_limit
from tests.soak.phone import ME, App
from tests.soak.run import Environment, Promise, environment, run

CLOSED_WITHIN = 10.5
"""Seconds. A connection that is never read may have them twice: its kernel takes one response more
when it is asked again for room, and each response has a time of its own (decision 0021).
"""
MEMORY = 256
_GAP = 1.0
"""Seconds between two bytes of a slow client."""

_GATHERING = 10.0
"""Seconds over which the slow clients connect. 2,000 new connections at once delay any server."""

_UNREAD = "never reads"
_HEAD = b"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
KINDS: dict[str, tuple[bytes, bytes]] = {
    # what it begins with, and what it goes on with, once a second
    "silent": (b"", b""),
    "header drip": (_HEAD + b"X: ", b"a"),
    "body drip": (_HEAD + b"Content-Length: 8000\r\n\r\n", b"a"),
    _UNREAD: (b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2000, b""),
}
_CROWD = [*([kind for kind in KINDS if kind != _UNREAD] * 6), _UNREAD]
"""One in 19 reads nothing: each makes the service answer until the buffers are full."""


# --- the crowd, in a process of its own ---


@dataclass(slots=True)
class Crowd:
    """Slow clients. `lasted` is how many seconds each connection was kept."""

    port: int
    lasted: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    refused: int = 0

    async def connect(self, number: int, seconds: float) -> None:
        """Connect one after the other, then keep this many connections for so long."""
        end = time.monotonic() + _GATHERING + seconds
        async with asyncio.TaskGroup() as group:
            for kind, place in zip(cycle(_CROWD), range(number), strict=False):
                pause = _GATHERING * place / number
                group.create_task(self._come_again_and_again(kind, pause, end))

    async def _come_again_and_again(self, kind: str, pause: float, end: float) -> None:
        await asyncio.sleep(pause)
        while time.monotonic() < end:
            try:
                reader, writer = await _connect(self.port)
            except OSError:
                self.refused += 1
                await asyncio.sleep(_GAP)
                continue
            began = time.monotonic()
            with suppress(ConnectionError):
                await _drip(
                    reader.read() if kind != _UNREAD else writer.wait_closed(), writer, kind
                )
            self.lasted[kind].append(time.monotonic() - began)
            writer.close()


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    client = socket.socket()
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        client.setsockopt(socket.SOL_SOCKET, option, 4096)
    client.setblocking(False)  # noqa: FBT003  # the only spelling
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=client, limit=1)


async def _drip(
    closing: Coroutine[Any, Any, object], writer: asyncio.StreamWriter, kind: str
) -> None:
    begin, drop = KINDS[kind]
    closed = asyncio.create_task(closing)
    writer.write(begin)
    while not closed.done():
        await asyncio.wait({closed}, timeout=_GAP)
        if not writer.is_closing():
            writer.write(drop)
    await closed


def _halves() -> tuple[set[int], set[int]]:
    """The cores of the service, and those of its clients."""
    cores = sorted(os.sched_getaffinity(0))
    middle = len(cores) // 2
    return set(cores[middle:]), set(cores[:middle]) or set(cores)


def _crowd(pipe: Connection, port: int, number: int, seconds: float, cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
    os.nice(19)
    raise_fd_limit(2 * number)
    crowd = Crowd(port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(crowd.connect(number, seconds))
    pipe.send(crowd)


@asynccontextmanager
async def slow_clients(
    port: int, number: int, seconds: float, cores: set[int]
) -> AsyncIterator[Connection]:
    """Run slow clients in a process; it sends its Crowd at the end."""
    context = get_context("spawn")
    here, there = context.Pipe()
    given = (there, port, number, seconds, cores)
    process = context.Process(target=_crowd, args=given, daemon=True)
    process.start()
    there.close()  # so that its end is noticed here
    try:
        yield here
    finally:
        await asyncio.to_thread(process.join, 3 * CLOSED_WITHIN)
        process.kill()


# --- good traffic ---


@dataclass(slots=True)
class Traffic:
    """Correct requests at a steady rate, each on a connection of its own.

    They come from a thread with plain sockets: an event loop would add its own delays to theirs.
    """

    port: int
    access_token: str
    seconds: list[float] = field(default_factory=list)
    not_ok: int = 0

    async def flow(self, rate: int, seconds: float) -> None:
        """Send so many requests a second, one after the other."""
        await asyncio.to_thread(self._flow, rate, int(rate * seconds))

    def _flow(self, rate: int, number: int) -> None:
        start = time.monotonic()
        for count in range(number):
            time.sleep(max(0.0, start + count / rate - time.monotonic()))
            began = time.monotonic()
            self.not_ok += not self._request().startswith(b"HTTP/1.1 200 ")
            self.seconds.append(time.monotonic() - began)

    def _request(self) -> bytes:
        head = f"GET {ME} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        response = b""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(f"{head}Authorization: Bearer {self.access_token}\r\n\r\n".encode())
            while part := client.recv(65536):
                response += part
        return response

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share was answered."""
        return 1000 * sorted(self.seconds)[int(share * len(self.seconds))]


async def main(folder: Path, given: argparse.Namespace) -> int:
    """Measure the traffic without and with the crowd."""
    ours, theirs = _halves()
    os.sched_setaffinity(0, ours)  # the service inherits them
    async with environment(folder, given.seed) as running:
        port = running.running.service.port or 0
        os.sched_setaffinity(0, theirs)
        app = running.app("lin", App)
        await app.sign_in()
        alone, beside, warm_up = (Traffic(port, app.access_token) for _ in range(3))
        await warm_up.flow(given.rate, 2)
        await alone.flow(given.rate, given.baseline)
        async with slow_clients(port, given.clients, given.seconds, theirs) as pipe:
            await asyncio.sleep(_GATHERING + 2)  # it needs a moment to start
            await beside.flow(given.rate, given.seconds - 2)
            crowd: Crowd = await asyncio.to_thread(pipe.recv)
        return _verdict(running, given, alone, beside, crowd)


def _peak_mebibytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def _verdict(
    running: Environment, given: argparse.Namespace, alone: Traffic, beside: Traffic, crowd: Crowd
) -> int:
    lasted = {kind: max(each, default=0.0) for kind, each in crowd.lasted.items()}
    late = [
        each
        for kind, times in crowd.lasted.items()
        for each in times
        if each > CLOSED_WITHIN * (1 + (kind == _UNREAD))
    ]
    memory = _peak_mebibytes(running.running.service.pid)
    slowdown = beside.percentile(0.99) / alone.percentile(0.99)
    facts = {
        "slow clients at a time": given.clients,
        **{f"closed: {kind}": len(each) for kind, each in crowd.lasted.items()},
        **{f"longest: {kind}": f"{seconds:.2f} s" for kind, seconds in lasted.items()},
        "good requests alone": len(alone.seconds),
        "good requests beside the crowd": len(beside.seconds),
        "alone, half within, 99 % within": _two(alone),
        "beside, half within, 99 % within": _two(beside),
        "99 % within, compared": f"{slowdown:.2f} times",
        "memory at the most": f"{memory} MiB",
    }
    return running.conclude(
        facts,
        [
            Promise("slow connections held too long", len(late)),
            Promise("slow clients that could not connect", crowd.refused),
            Promise("memory above 256 MiB", int(memory > MEMORY)),
            Promise("good requests that were not answered", alone.not_ok + beside.not_ok),
            Promise("99 % took twice as long or longer", int(slowdown >= 2)),
        ],
    )


def _two(traffic: Traffic) -> str:
    return f"{traffic.percentile(0.5):.1f}, {traffic.percentile(0.99):.1f} ms"


if __name__ == "__main__":
    numbers = {"clients": 2000, "seconds": 60, "rate": 50, "baseline": 30}
    sys.exit(run("slow_clients", __doc__ or "", numbers, main))
