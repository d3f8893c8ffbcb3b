"""Instances of the service and a fake Authing as processes, for races and soak runs.

An instance can be killed at any moment and started again over the same store. Its port differs
after each start.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.commands.environment import POOL_ID, POOL_SECRET, minimal
from tests.support.processes import Program

SERVICE_KEY = "made-up-service-key-0123456789abcdef"
SERVICE = ("-m", "app", "serve")
_SANDBOX = ("-m", "tests.support.sandbox_server", POOL_ID, POOL_SECRET)
_PORT = re.compile(r'"port": ?(\d+)|http://127\.0\.0\.1:(\d+)')


@dataclass(slots=True)
class Server:
    """One process that serves. `port` is None while it is down.

    `ready` is a part of the line that tells its port. `starts` counts its starts;
    `slowest_start` is in seconds.
    """

    folder: Path
    arguments: Sequence[str]
    ready: str
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    starts: int = 0
    slowest_start: float = 0
    _program: Program | None = field(default=None, repr=False)

    async def start(self) -> None:
        started = time.monotonic()
        self.folder.mkdir(exist_ok=True)
        environment = {**os.environ, **self.settings}
        self._program = Program(self.folder, *self.arguments, environment=environment)
        line = await asyncio.to_thread(self._program.line_with, self.ready)
        found = _PORT.search(line)
        assert found, line
        self.port = int(found[1] or found[2])
        self.starts += 1
        self.slowest_start = max(self.slowest_start, time.monotonic() - started)

    async def kill(self) -> None:
        self.port = None
        if self._program is not None:
            await asyncio.to_thread(self._program.kill)
            self._program.close()

    async def stop(self) -> None:
        self.port = None
        if self._program is not None:
            await asyncio.to_thread(self._program.close)

    @property
    def pid(self) -> int:
        assert self._program is not None
        return self._program.pid

    def said(self, *texts: str) -> int:
        """The number of lines of its output, over all its starts, that hold one of the texts."""
        output = "".join((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return sum(any(text in line for text in texts) for line in output.splitlines())

    def bugs(self) -> int:
        """The number of lines of its output that tell of a bug."""
        return self.said('"level":"error"', "Traceback")

    def rolled_forward(self) -> int:
        """The number of tokens that were one generation ahead of the store."""
        return self.said('"session_rolled_forward"')


@dataclass(frozen=True, slots=True)
class Fleet:
    """The service's instances, their fake Authing, and the SQLite file of a single instance."""

    services: Sequence[Server]
    authing: Server
    store: Path

    @property
    def service(self) -> Server:
        return self.services[0]


@asynccontextmanager
async def fleet(
    folder: Path, instances: int = 1, *, program: Sequence[str] = SERVICE, **settings: str
) -> AsyncIterator[Fleet]:
    """Run all in this folder. `settings` are added to the service's environment.

    `{authing}` in their values is the address of the fake Authing. Several instances need a
    `STORE_URL` that they can share.
    """
    authing = Server(folder / "authing", _SANDBOX, "sandbox listening on")
    services: list[Server] = []
    try:
        await authing.start()
        address = f"http://127.0.0.1:{authing.port}"
        settings = {name: text.replace("{authing}", address) for name, text in settings.items()}
        given = minimal(folder) | {
            "AUTHING_BASE_URL": address,
            "SERVICE_API_KEYS": SERVICE_KEY,
            # All apps share one address here and refresh without pauses.
            "RATE_LIMIT_LOGIN": "off",
            "RATE_LIMIT_REFRESH": "off",
            "PORT": "0",
            "DRAIN_DELAY": "0",
            "LOG_FORMAT": "json",
        }
        for number in range(instances):
            home = folder / f"service-{number}"
            services.append(Server(home, program, '"event":"serving"', given | settings))
        await asyncio.gather(*(service.start() for service in services))
        yield Fleet(services, authing, folder / "sessions.db")
        await asyncio.gather(*(service.stop() for service in services))
    finally:
        for server in (*services, authing):
            await server.kill()
