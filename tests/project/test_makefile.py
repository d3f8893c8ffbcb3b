"""The Makefile on machines with other Pythons."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def make(root: Path, tmp_path: Path) -> Path:
    """A copy of the Makefile, so that no target can touch the real .venv."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shutil.copy(root / "Makefile", tmp_path)
    shutil.copytree(root / "requirements", tmp_path / "requirements")
    return tmp_path


def _run(folder: Path, *words: str, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    program = shutil.which("make")
    assert program
    return subprocess.run(
        [program, "-C", str(folder), *words],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def _interpreter(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_make_alone_lists_every_target(make: Path) -> None:
    targets = re.findall(r"^\.PHONY: (\S+)$", (make / "Makefile").read_text(), re.MULTILINE)

    listed = re.findall(r"^make (\S+) +\S", _run(make).stdout, re.MULTILINE)

    assert {"run", "test", "test-all", "install", "check"} <= set(targets)
    assert listed == targets


def test_a_machine_without_a_suitable_python_gets_one_line(make: Path) -> None:
    _interpreter(make, "python3.10", 'echo "SystemExit: 1" >&2; exit 1')

    response = _run(make, "install", f"PYTHON={make / 'python3.10'}")

    assert response.returncode != 0
    assert len(response.stderr.splitlines()) == 1
    assert "No Python >= 3.11" in response.stderr
    assert not (make / ".venv").exists()


def test_a_shim_without_an_interpreter_is_skipped(make: Path) -> None:
    _interpreter(make, "python3.14", 'echo "python3.14: command not found" >&2; exit 127')
    _interpreter(make, "python3.13", f'exec "{sys.executable}" "$@"')

    planned = _run(make, "--dry-run", "install", path=f"{make}:{os.defpath}")

    assert "python3.13 -m venv" in planned.stdout
    assert planned.stderr == ""
