"""Programs of Node with their locked packages."""

import shutil
import subprocess
from pathlib import Path

import pytest


def installed(source: Path, folder: Path) -> Path:
    """Copy a program to a new folder, and install its packages there."""
    for name in ("node", "npm"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    install = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
    if subprocess.run(install, capture_output=True, check=False).returncode:
        pytest.skip(f"npm cannot install the packages of {source.name}")
    return folder
