"""Programs that the tests of `deploy/` run, and what kustomize makes of a folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

Manifests: TypeAlias = dict[str, dict[str, Any]]


def program(name: str) -> str | None:
    """Where a program is: in .venv, on the path, or among the servers of the system."""
    environment = Path(sys.prefix)
    folders = (environment / "bin", environment / "deploy/bin", os.environ["PATH"], "/usr/sbin")
    return shutil.which(name, path=os.pathsep.join(map(str, folders)))


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; skip the test if the program is missing."""
    found = program(name)
    if found is None:
        pytest.skip(f"{name} is not installed (make deploy-tools)")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)


def kustomize(folder: Path) -> Manifests:
    """The objects that the real kustomize makes of the folder, by kind."""
    built = run("kubectl", "kustomize", folder)
    assert (built.returncode, built.stderr) == (0, "")
    documents = list(yaml.safe_load_all(built.stdout))
    by_kind = {document["kind"]: document for document in documents}
    assert len(by_kind) == len(documents)
    return by_kind
