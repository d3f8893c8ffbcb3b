"""Real processes for proofs and races: the service, and a fake Authing on a port of its own.

Each process writes to a file and is known to serve by the line in which it says so. The service
may be killed at any moment and started again over the same file; its port is another one each time.
It knows the commands and the settings, and nothing that goes on inside.
"""

import asyncio
import os
import re
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

SERVICE_KEY = "made-up-service-key-0123456789abcdef"
_POOL_ID = "5f0000000000000000000000"
_POOL_SECRET = "made-up-pool-secret-0123456789abcdef"
_ROOT = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.01
_SERVICE_SERVES = re.compile(r'\{.*"event": ?"serving",.*"port": ?(?P<port>\d+).*\}')
_SANDBOX_SERVES = re.compile(r"sandbox listening on http://127\.0\.0\.1:(?P<port>\d+)")


class NotServing(Exception):
    """A process did not come up; the text is the end of what it said."""


@dataclass(slots=True)
class Server:
    """One process that serves. `port` is None while it does not.

    `starts` is how often it came up; `slowest_start` how many seconds that took at worst.
    """

    arguments: Sequence[str]
    settings: Mapping[str, str]
    serves: re.Pattern[str]
    output: Path
    port: int | None = None
    starts: int = 0
    slowest_start: float = 0
    _process: Process | None = field(default=None, repr=False)

    async def start(self, within: float = 30) -> None:
        """Start it and wait until it serves.

        Raises:
            NotServing: it ended, or `within` seconds have passed.
        """
        started = time.monotonic()
        with self.output.open("ab") as sink:
            begin = sink.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self.arguments,
                # Away from the project's folder, where somebody's .env may be.
                cwd=self.output.parent,
                env={**os.environ, "PYTHONPATH": str(_ROOT), **self.settings},
                stdout=sink,
                stderr=sink,
            )
        self.port = await self._port(self._process, begin, started + within)
        self.starts += 1
        self.slowest_start = max(self.slowest_start, time.monotonic() - started)

    async def kill(self) -> None:
        """Kill it with SIGKILL: it gets no chance to finish anything."""
        self.port = None
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self, within: float = 30) -> None:
        """Ask it to leave with SIGTERM, and wait until it has."""
        self.port = None
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            async with asyncio.timeout(within):
                await self._process.wait()

    def said(self, *texts: str) -> int:
        """How many lines of its log, over all its lives, hold one of these texts."""
        with self.output.open() as log:
            return sum(any(text in line for text in texts) for line in log)

    def bugs(self) -> int:
        """How many lines of its log tell of a bug."""
        return self.said('"level": "error"', "Traceback")

    async def _port(self, process: Process, begin: int, deadline: float) -> int:
        while True:
            said = self._said_since(begin)
            if found := self.serves.search(said):
                return int(found["port"])
            if process.returncode is not None or time.monotonic() > deadline:
                await self.kill()
                raise NotServing(said[-2000:])
            await asyncio.sleep(_POLL_SECONDS)

    def _said_since(self, begin: int) -> str:
        with self.output.open("rb") as source:
            source.seek(begin)
            return source.read().decode()


@dataclass(frozen=True, slots=True)
class Fleet:
    """The service's instances, their fake Authing, and the file of an instance that is alone."""

    services: Sequence[Server]
    authing: Server
    store: Path

    @property
    def service(self) -> Server:
        """The instance, or the first one."""
        return self.services[0]


@asynccontextmanager
async def fleet(folder: Path, *, instances: int = 1, **settings: str) -> AsyncIterator[Fleet]:
    """Run all in this folder; `settings` are more of the service's environment.

    More than one instance need a `STORE_URL` that they can share.
    """
    arguments = ["-m", "app.sandbox", "--pool", _POOL_ID, "--secret", _POOL_SECRET]
    authing = Server(arguments, {}, _SANDBOX_SERVES, folder / "authing.log")
    services: list[Server] = []
    try:
        await authing.start()
        keys, store = folder / "keys.json", folder / "sessions.db"
        await _make_keys(keys)
        given = {
            "AUTHING_BASE_URL": f"http://127.0.0.1:{authing.port}",
            "AUTHING_USER_POOL_ID": _POOL_ID,
            "AUTHING_USER_POOL_SECRET": _POOL_SECRET,
            "SESSION_ISSUER": "http://127.0.0.1:8000",
            "SESSION_KEYS_FILE": str(keys),
            "STORE_URL": f"sqlite:///{store}",
            "SERVICE_API_KEYS": SERVICE_KEY,
            # Everybody comes from one address here, and apps do not pause.
            "RATE_LIMIT_LOGIN": "off",
            "RATE_LIMIT_REFRESH": "off",
            "PORT": "0",
            "DRAIN_DELAY": "0",
            "LOG_FORMAT": "json",
        }
        for number in range(instances):
            log = folder / f"service-{number}.log"
            services.append(Server(["-m", "app", "serve"], given | settings, _SERVICE_SERVES, log))
        await asyncio.gather(*(service.start(within=30 * instances) for service in services))
        yield Fleet(services, authing, store)
        await asyncio.gather(*(service.stop() for service in services))
        await authing.stop()
    finally:
        for service in services:
            await service.kill()
        await authing.kill()


async def _make_keys(file: Path) -> None:
    command = ["-m", "app", "keys", "--file", str(file), "new"]
    made = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=_ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    if await made.wait() != 0:
        raise NotServing("no keys could be made")
