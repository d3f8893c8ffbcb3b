"""What is fetched is pinned: each locked requirement by hash, each action of a workflow by commit.

The locks are compiled from pyproject.toml. `make check` also runs zizmor on the workflows.
"""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.project.conftest import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def _entries(lock: Path) -> list[str]:
    """One text per requirement: the line, its hashes and the comment on who wants it."""
    return re.split(r"^(?=\w)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


def _pins(lock: Path) -> set[tuple[str, str]]:
    """Name and version; a name stands twice where the version depends on the platform."""
    found = [re.match(r"([\w.-]+)==(\S+)", entry) for entry in _entries(lock)]
    return {(pin[1], pin[2]) for pin in found if pin}


def _asked_for_by(source: str, lock: Path) -> set[str]:
    asking = re.compile(rf"^ +# +(via )?ticketgate \({re.escape(source)}\)$", re.MULTILINE)
    return {entry.split("==")[0] for entry in _entries(lock) if asking.search(entry)}


@pytest.fixture(scope="module")
def wanted(root: Path) -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for: of the image, which has the extra for Redis, and more."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project, extras = pyproject["project"], pyproject["project"]["optional-dependencies"]
    lines = {
        "runtime": [*project["dependencies"], *extras["redis"]],
        "tracing": extras["tracing"],
        "dev": pyproject["dependency-groups"]["dev"],
    }
    return {name: [Requirement(line) for line in each] for name, each in lines.items()}


@pytest.fixture(scope="module")
def locks(root: Path) -> Path:
    return root / "requirements"


def _names(wanted: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in wanted}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_locked_requirement_is_pinned_and_has_a_hash(lock: Path) -> None:
    hashed = re.compile(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}\b", re.DOTALL)
    entries = _entries(lock)

    assert entries
    assert [entry for entry in entries if not hashed.match(entry)] == []


def test_the_locks_hold_exactly_the_direct_dependencies_of_the_project(
    locks: Path, wanted: dict[str, list[Requirement]]
) -> None:
    for name, source, asked in (
        ("runtime", "pyproject.toml", wanted["runtime"]),
        ("tracing", "pyproject.toml", wanted["runtime"] + wanted["tracing"]),
        ("dev", "pyproject.toml:dev", wanted["dev"]),
    ):
        assert _asked_for_by(source, locks / f"{name}.txt") == _names(asked), "make lock"


def test_every_locked_version_is_one_that_the_project_accepts(
    locks: Path, wanted: dict[str, list[Requirement]]
) -> None:
    pins = _pins(locks / "dev.txt")
    refused = [
        f"{name}=={version} is not {asked.specifier}"
        for asked in (asked for each in wanted.values() for asked in each)
        for name, version in pins
        if name == canonicalize_name(asked.name) and version not in asked.specifier
    ]

    assert refused == [], "make lock"


def test_the_tests_use_the_versions_of_production(locks: Path) -> None:
    assert _pins(locks / "runtime.txt") <= _pins(locks / "tracing.txt") <= _pins(locks / "dev.txt")


# --- workflows ---


WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> str:
    path: Path = request.param
    return path.read_text(encoding="utf-8")


def test_every_action_is_pinned_to_a_commit_and_names_its_version(workflow: str) -> None:
    used = re.findall(r"uses: (.+)", workflow)

    assert used
    assert [u for u in used if not re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", u)] == []


def test_only_a_release_may_write(workflow: str) -> None:
    granted = re.findall(r"^ +(\w[\w-]*): (read|write)\b", workflow, re.MULTILINE)
    release = "\n    tags: " in workflow

    assert "\npermissions: {}\n" in workflow
    assert granted == (
        [("contents", "write"), ("packages", "write")] if release else [("contents", "read")]
    )
