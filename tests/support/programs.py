"""Programs of this machine that a test needs, and programs of Node with their locked packages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import soon


def program(*names: str) -> str:
    """Find one of these in .venv, on the path or among the system's servers, or skip the test."""
    folders = (f"{sys.prefix}/bin", f"{sys.prefix}/deploy/bin", os.environ["PATH"], "/usr/sbin")
    for name in names:
        if found := shutil.which(name, path=os.pathsep.join(folders)):
            return found
    pytest.skip(f"{names[0]} is not installed")


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False)


@contextmanager
def started(
    command: Sequence[str], log: Path, is_ready: Callable[[], object], **environment: str
) -> Iterator[None]:
    """Run a program beside the test; fail if it ends before it is ready. It writes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        soon(lambda: is_ready() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait()


def npm_installed(source: Path, folder: Path) -> Path:
    """Copy a package to a new folder, and install exactly what its lock file names."""
    npm, _node = program("npm"), program("node")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(install, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip(f"npm cannot install the packages of {source.name}")
    return folder
