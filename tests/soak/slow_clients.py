"""Hold thousands of slow connections: they are closed in time, and other requests stay fast.

First good requests are sent alone, as a baseline; then beside slow clients that reconnect as soon
as they are closed. `python -m tests.soak.slow_clients --help` lists the options.
"""

import argparse
import asyncio
import socket
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from app.server.connections import raise_fd_limit
from tests.soak.phone import App
from tests.soak.run import Environment, Promise, environment, run
from tests.soak.sampler import Sample, look, sampler_of

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


async def main(folder: Path, given: argparse.Namespace) -> int:
    raise_fd_limit(2 * given.clients)
    async with environment(folder, given.seed) as running:
        app = running.app("lin", App)
        await app.sign_in()
        with sampler_of(running.running) as sampler:
            sample = partial(sampler.sample, look, app.access_token, given.rate)
            await sample(2)  # to warm up
            alone = await sample(given.baseline)
            crowd = Crowd(sampler.port)
            connecting = asyncio.create_task(crowd.connect(given.clients, given.seconds))
            await asyncio.sleep(_GATHERING)
            beside = await sample(given.seconds)
            await connecting
        return _verdict(running, given, alone, beside, crowd)


def _peak_mebibytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def _verdict(
    running: Environment, given: argparse.Namespace, alone: Sample, beside: Sample, crowd: Crowd
) -> int:
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
        **{f"longest: {kind}": f"{max(each):.2f} s" for kind, each in crowd.lasted.items()},
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
            Promise("good requests that were not answered", alone.failed + beside.failed),
            Promise("99 % took twice as long or longer", int(slowdown >= 2)),
        ],
    )


def _two(sample: Sample) -> str:
    return f"{sample.percentile(0.5):.1f}, {sample.percentile(0.99):.1f} ms"


if __name__ == "__main__":
    run(main, clients=2000, seconds=60, rate=50, baseline=30)
