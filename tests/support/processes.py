"""Python programs as processes, whose output can be read at any time."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0
"""Seconds after which a wait fails. Long enough for a slow, busy machine."""


def soon(look: Callable[[], T]) -> T:
    """Call `look` until it returns a true value, and return that."""
    deadline = time.monotonic() + _PATIENCE
    while not (value := look()):
        assert time.monotonic() < deadline, f"not within {_PATIENCE} s"
        time.sleep(0.005)
    return value


async def until(condition: Callable[[], object], seconds: float = _PATIENCE) -> None:
    """Let the event loop run until the condition is true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # the condition has no event
            await asyncio.sleep(0.002)


def free_port() -> int:
    """Return a port of this machine that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether a program accepts connections on this port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Program:
    """One Python program, started at once. Its output is appended to two files of the folder.

    Coverage follows into it through the environment of this process.
    """

    def __init__(
        self, folder: Path, *arguments: str, environment: Mapping[str, str] = os.environ
    ) -> None:
        self.folder = folder
        self._outputs = [folder / "stdout", folder / "stderr"]
        self._before = len(self.out) if self._outputs[0].exists() else 0
        with self._outputs[0].open("ab") as out, self._outputs[1].open("ab") as err:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env={**environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def out(self) -> str:
        """Its output so far, after that of earlier programs in the folder."""
        return self._outputs[0].read_text()

    @property
    def command_line(self) -> str:
        """Its arguments as other processes see them; empty without /proc."""
        file = Path(f"/proc/{self._process.pid}/cmdline")
        return file.read_text() if file.exists() else ""

    @property
    def err(self) -> str:
        return self._outputs[1].read_text()

    def line_with(self, text: str) -> str:
        """Wait for a whole line with this text; fail if the program ends first."""

        def look() -> str:
            ended = self._process.poll() is not None
            lines = self.out[self._before :].splitlines(keepends=True)
            found = [line for line in lines if text in line and line.endswith("\n")]
            assert found or not ended, self.out + self.err
            return found[0] if found else ""

        return soon(look)

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = _PATIENCE) -> int:
        return self._process.wait(seconds)

    def runs_for(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it if it still runs. SIGINT comes first, so that coverage is saved."""
        if self._process.poll() is None:
            self.send(signal.SIGINT)
            if self.runs_for(20):
                self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()


@contextmanager
def sandbox_process(
    folder: Path, pool_id: str, secret: str, environment: Mapping[str, str] = os.environ
) -> Iterator[str]:
    arguments = ("-m", "tests.support.sandbox_server", pool_id, secret)
    with closing(Program(folder, *arguments, environment=environment)) as program:
        yield program.line_with("sandbox listening on").split()[-1]
