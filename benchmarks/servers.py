"""Servers as processes on a core of their own: installation, start, CPU time, stop."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.load import HOST, Flow, Result, load
from benchmarks.upstream import POOL_ID, POOL_SECRET

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "benchmarks" / "peers"
ENVIRONMENTS = ROOT / "benchmarks" / ".env"
SERVER_CORE, LOAD_CORE = 0, 1
_START, _STOP = 60.0, 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class CannotRun(Exception):
    """A peer cannot be installed or does not start. The text says why."""


Command: TypeAlias = Callable[[Path, int, str], tuple[list[str], dict[str, str]]]
"""Prepares one start from a folder, a port and the URL of the fake Authing.

Returns the server's command line and its environment.
"""


def lock_of(peer: str) -> Path | None:
    """Return the lock file of a peer; None if the peer runs in the project's .venv."""
    locks = (PEERS / peer / name for name in ("requirements.txt", "package-lock.json"))
    return next((lock for lock in locks if lock.exists()), None)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that accepts connections on `port`."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Return the CPU seconds that the process and its children have used (proc(5))."""
        return sum(_cpu(pid) for pid in _family(self.process.pid))


def prepare(peer: str) -> None:
    """Install the peer's pinned packages into an environment of its own, if they have changed.

    Raises:
        CannotRun: a program or a package is not to be had.
    """
    source, target = PEERS / peer, ENVIRONMENTS / peer
    lock, stamp = lock_of(peer), target / ".installed"
    if lock is None or (stamp.exists() and stamp.read_text() == lock.read_text()):
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if lock.suffix == ".txt":
        _install(peer, sys.executable, "-m", "venv", str(target))
        pip = (str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps")
        _install(peer, *pip, "--require-hashes", "--requirement", str(lock))
    else:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, target)
        _install(peer, "npm", "ci", "--no-audit", "--no-fund", "--prefix", str(target))
    stamp.write_text(lock.read_text())


@asynccontextmanager
async def running(
    command: Command, folder: Path, upstream: str, core: int = SERVER_CORE
) -> AsyncIterator[Server]:
    """Run a server on this core; its output goes into a file in the folder.

    Raises:
        CannotRun: it ended, or it accepted no connection within a minute.
    """
    server = _start(command, folder, upstream, core)
    try:
        await _accepts(server, folder / "output")
        yield server
    finally:
        server.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(server.process.wait, _STOP)
        server.process.kill()
        server.process.wait()


async def measure(
    server: Server, flow: Flow, seconds: float, connections: int = 64
) -> tuple[Result, float]:
    """Send requests for these seconds; return the result, and the CPU seconds of the server.

    Raises:
        CannotRun: no request succeeded.
    """
    try:
        async with load(server.port, connections, flow) as run:
            before = server.cpu()
            result = await run(seconds)
            cpu = server.cpu() - before
    except (OSError, RuntimeError, TimeoutError) as error:
        raise CannotRun(f"{type(error).__name__} {error}") from error
    if not result.latencies:
        raise CannotRun("no request succeeded")
    return result, cpu


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def _start(command: Command, folder: Path, upstream: str, core: int) -> Server:
    folder.mkdir(parents=True)
    port = free_port()
    arguments, settings = command(folder, port, upstream)
    given = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    given |= {"PORT": str(port), "UPSTREAM": upstream, "POOL_ID": POOL_ID}
    given |= {"POOL_SECRET": POOL_SECRET, "NODE_ENV": "production", **settings}
    os.sched_setaffinity(0, {core})  # the process inherits it from this thread
    try:
        with (folder / "output").open("wb") as out:
            process = subprocess.Popen(arguments, cwd=folder, env=given, stdout=out, stderr=out)
    finally:
        os.sched_setaffinity(0, {LOAD_CORE})
    return Server(port, process)


async def _accepts(server: Server, output: Path) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_START):
            while server.process.poll() is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, server.port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)
    raise CannotRun("does not start: " + _tail(output))


def _tail(output: Path) -> str:
    return output.read_text(errors="replace")[-500:]


def _install(peer: str, *command: str) -> None:
    print(f"{peer}: {' '.join(Path(word).name for word in command[:4])} …", flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotRun(f"{command[0]} is not installed") from None
    if done.returncode:
        raise CannotRun((done.stderr or done.stdout)[-500:])


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has just ended
            for child in children.read_text().split():
                yield from _family(int(child))


def _cpu(pid: int) -> float:
    # The name of the program, in parentheses, may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
