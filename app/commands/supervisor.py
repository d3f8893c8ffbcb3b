"""`serve` with WORKERS > 1: takes the address, starts the workers over it and replaces the dead.

It serves no request itself. What can refuse to start is tried here once, before there is a worker.
Why not by uvicorn's own supervisor: docs/decisions/0010.
"""

import asyncio
import os
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from app.config import Settings
from app.main import open_services
from app.server.draining import Drain, bind
from app.telemetry import logs, shared_metrics

WORKER_MODULE = "app.commands.worker"
FAILED = 1
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_LONG_LIFE = 60.0
"""Seconds. Who has lived for so long did not die of how it was started."""
_MARGIN = 5.0
"""Seconds that a worker may need for leaving, beyond what the settings allow requests."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that a worker is told before it begins."""

    settings: Settings
    slot: int
    """From 0; never that of another living worker, and that of the dead one it replaces."""
    metrics_folder: Path | None
    supervisor: int
    """Process id of who gives the orders."""


def run(settings: Settings, *, module: str = WORKER_MODULE) -> int:
    """Serve with workers until told to stop; the exit code. `module` is what a worker runs.

    Raises:
        StartupError: something is wrong with what the settings point at.
    """
    logs.configure(settings.log_level, settings.log_format)
    alone = settings.model_copy(update={"metrics_port": None})
    with asyncio.Runner() as runner:
        runner.run(_try_to_open(alone))
        with ExitStack() as stack:
            listener = stack.enter_context(bind(settings.host, settings.port))
            folder = None
            if settings.metrics_port is not None:
                exposition = shared_metrics.served(settings.host, settings.metrics_port)
                folder = stack.enter_context(exposition)
            assignment = Assignment(alone, 0, folder, os.getpid())
            return runner.run(Supervisor(assignment, listener, module).run())


async def _try_to_open(settings: Settings) -> None:
    async with open_services(settings, drain=Drain()):
        pass


class Supervisor:
    """Keeps as many workers alive as the settings say, until it is told to leave."""

    def __init__(self, assignment: Assignment, listener: socket.socket, module: str) -> None:
        self._assignment = assignment
        self._settings = assignment.settings
        self._listener = listener
        self._module = module
        self._workers: set[_Worker] = set()
        self._orders: list[signal.Signals] = []
        self._leaving = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Give orders and fill slots until all have left; 0 if they were told to."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._order, number)
        await asyncio.gather(*(self._fill(slot) for slot in range(self._settings.workers)))
        logs.log("stopped")
        return self._exit_code

    def _order(self, number: signal.Signals) -> None:
        """Pass a signal on. From the first one on, nobody is replaced any more."""
        if not self._leaving.is_set():
            self._leaving.set()
            # The last worker to close the socket is then the last to accept.
            self._listener.close()
            asyncio.get_running_loop().call_later(self._patience(), self._kill_all)
        self._orders.append(number)
        for worker in self._workers:
            worker.order(number)

    def _patience(self) -> float:
        allowed = self._settings.drain_delay + self._settings.shutdown_timeout
        return allowed.total_seconds() + _MARGIN

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.kill()

    async def _fill(self, slot: int) -> None:
        clock, pause = asyncio.get_running_loop().time, 0.0
        while not self._leaving.is_set():
            began = clock()
            has_served = await self._staff(slot)
            if self._leaving.is_set():
                return
            if not has_served and not any(worker.has_served for worker in self._workers):
                self._give_up()
            pause = next_pause(pause, lived=clock() - began)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), pause)

    async def _staff(self, slot: int) -> bool:
        """Start a worker and wait for its end; whether it has served."""
        assignment = replace(self._assignment, slot=slot)
        try:
            worker = await _Worker.start(self._module, assignment, self._listener)
        except OSError:  # no memory for another process; the others go on
            logs.log("worker_died", reason="not_started")
            return False
        self._workers.add(worker)
        worker.order(*self._orders)  # given while it was being started
        reason = await worker.end()
        self._workers.remove(worker)
        shared_metrics.forget_live_values(assignment.metrics_folder, slot)
        if not self._leaving.is_set():
            logs.log("worker_died", reason=reason)
        return worker.has_served

    def _give_up(self) -> None:
        """Leave, because nobody serves and the latest did not come up: so nor would the next."""
        self._exit_code = FAILED
        self._order(signal.SIGINT)


class _Worker:
    """One worker process, as its supervisor sees it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Connection) -> None:
        self._process = process
        self._channel = channel
        self.has_served = False
        asyncio.get_running_loop().add_reader(channel.fileno(), self._hear)

    @classmethod
    async def start(cls, module: str, assignment: Assignment, listener: socket.socket) -> Self:
        """Start the process; it gets two descriptors, and over one of them its assignment."""
        ours, theirs = Pipe()
        with theirs:
            given = (theirs.fileno(), listener.fileno())
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *map(str, given)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=given,
                process_group=0,  # a terminal's Ctrl-C is for the supervisor, who passes it on
            )
        worker = cls(process, ours)
        worker._send(assignment)
        return worker

    def order(self, *numbers: signal.Signals) -> None:
        """Let it do what a single process does at these signals."""
        for number in numbers:
            self._send(number)

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()

    async def end(self) -> str:
        """Wait until the process has ended; what of."""
        code = await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        self._channel.close()
        return signal.Signals(-code).name if code < 0 else f"exit_{code}"

    def _send(self, message: object) -> None:
        with suppress(OSError):  # it has just died, of which `end` tells
            self._channel.send(message)

    def _hear(self) -> None:
        """Its only message is that it serves; what else can be heard is its end."""
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        with suppress(EOFError, OSError):
            self._channel.recv()
            self.has_served = True


def next_pause(pause: float, *, lived: float) -> float:
    """How many seconds to wait before a dead worker is replaced, after this pause before it."""
    if lived >= _LONG_LIFE:
        return _SHORTEST_PAUSE
    return min(max(2 * pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
