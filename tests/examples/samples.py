"""The samples of examples/verify as processes: a token a line in, a verdict a line out."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ROOT
from tests.support.programs import npm_installed, program

FOLDER = ROOT / "examples" / "verify"


class Sample:
    """One running sample."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, token: str) -> str:
        """Return its verdict."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{token}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().rstrip("\n")


@contextmanager
def running(command: list[str], **settings: str) -> Iterator[Sample]:
    """Run a sample, which ends when its input does."""
    pipe, environment = subprocess.PIPE, os.environ | settings
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Sample(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(10) == 0
        finally:
            process.kill()


def pyjwt(folder: Path) -> list[str]:
    return [sys.executable, str(FOLDER / "python" / "with_pyjwt.py")]


def joserfc(folder: Path) -> list[str]:
    return [sys.executable, str(FOLDER / "python" / "with_joserfc.py")]


def jose(folder: Path) -> list[str]:
    return [program("node"), str(npm_installed(FOLDER / "node", folder) / "verify.mjs")]


def java(folder: Path) -> list[str]:
    compiler = [program("javac"), "-d", str(folder), str(FOLDER / "java" / "Verify.java")]
    subprocess.run(compiler, check=True)
    return [program("java"), "-cp", str(folder), "Verify"]


def golang(folder: Path) -> list[str]:
    build = [program("go"), "build", "-o", str(folder / "verify"), "."]
    folder.mkdir()
    subprocess.run(build, cwd=FOLDER / "go", check=True)
    return [str(folder / "verify")]


SAMPLES: dict[str, Callable[[Path], list[str]]] = {
    "PyJWT": pyjwt,
    "joserfc": joserfc,
    "jose": jose,
    "JDK": java,
    "Go": golang,
}
