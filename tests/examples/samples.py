"""The samples of examples/verify as processes: a token a line in, a verdict a line out."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import ROOT

FOLDER = ROOT / "examples" / "verify"


class Sample:
    """One running sample."""

    def __init__(self, command: list[str], settings: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, token: str) -> str:
        """Return its verdict."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{token}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().rstrip("\n")

    def close(self) -> int:
        """Close its input and return its exit code; kill it if it does not end."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                return process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()


@contextmanager
def running(command: list[str], **settings: str) -> Iterator[Sample]:
    sample = Sample(command, settings)
    try:
        yield sample
    finally:
        code = sample.close()
    assert code == 0


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def pyjwt(folder: Path) -> list[str]:
    return [sys.executable, str(FOLDER / "python" / "with_pyjwt.py")]


def joserfc(folder: Path) -> list[str]:
    return [sys.executable, str(FOLDER / "python" / "with_joserfc.py")]


def jose(folder: Path) -> list[str]:
    node, npm = _program("node"), _program("npm")
    shutil.copytree(FOLDER / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(install, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("npm cannot install jose")
    return [node, str(folder / "verify.mjs")]


def java(folder: Path) -> list[str]:
    compiler = [_program("javac"), "-d", str(folder), str(FOLDER / "java" / "Verify.java")]
    subprocess.run(compiler, check=True)
    return [_program("java"), "-cp", str(folder), "Verify"]


def golang(folder: Path) -> list[str]:
    build = [_program("go"), "build", "-o", str(folder / "verify"), "."]
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
