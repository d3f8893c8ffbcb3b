"""Programs of this machine that a test needs, and programs of Node with their locked packages."""

import shutil
import subprocess
from pathlib import Path

import pytest


def program(name: str) -> str:
    """Return the path of the program, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def npm_installed(source: Path, folder: Path) -> Path:
    """Copy a package to a new folder, and install exactly what its lock file names."""
    npm, _node = program("npm"), program("node")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(install, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip(f"npm cannot install the packages of {source.name}")
    return folder
