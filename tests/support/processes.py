"""Programs as processes of their own, whose output can be read while they run and afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0
"""Seconds after which something that has not happened is a failure, on the slowest machine."""


def soon(look: Callable[[], T], seconds: float = _PATIENCE) -> T:
    """Look until there is something to be seen."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return seen


class Program:
    """One Python program, started at once. Its output goes into two files of the folder."""

    def __init__(self, folder: Path, *arguments: str, environment: Mapping[str, str]) -> None:
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
        """What it has written to stdout so far; also what its predecessors in the folder have."""
        return self._outputs[0].read_text()

    @property
    def command_line(self) -> str:
        """What everybody on the machine may see of it; empty where there is no /proc."""
        file = Path(f"/proc/{self._process.pid}/cmdline")
        return file.read_text() if file.exists() else ""

    @property
    def err(self) -> str:
        return self._outputs[1].read_text()

    def line_with(self, text: str) -> str:
        """Wait until it has written a whole line with this text."""

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
        """Wait for the end; give the exit code."""
        return self._process.wait(seconds)

    def runs_for(self, seconds: float) -> bool:
        """Whether it is still there when this time has passed."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self) -> None:
        """End it in the middle of whatever it is doing."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it if it still runs: first as an orchestrator would, so that coverage is kept."""
        if self._process.poll() is None:
            self.send(signal.SIGINT)
            if self.runs_for(20):
                self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()


def machine() -> dict[str, str]:
    """The environment as it is, which coverage needs in order to follow into a process."""
    return dict(os.environ)
