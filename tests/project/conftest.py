"""The repository as its clones see it: the folder, and the files that git tracks."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked_files() -> list[Path]:
    """Relative paths, without those that are deleted but not yet committed."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("git does not take this folder for a checkout")
    names = [name for name in listing.stdout.split("\0") if name]
    return [Path(name) for name in names if (ROOT / name).is_file()]
