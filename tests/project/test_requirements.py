"""The lock files: hashed throughout, and compiled from what pyproject.toml says today."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = [
    f"{name}.txt"
    for name in (
        "runtime",
        "tracing",
        "dev",
        "uv",
        "gateways",
        "clients",
        "deploy",
        "sbom",
        "browser",
    )
]


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
def locks(root: Path) -> Path:
    return root / "requirements"


@pytest.fixture(scope="module")
def pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runtime(pyproject: dict[str, Any]) -> list[Requirement]:
    """What the image has: the dependencies, and the extra for Redis."""
    project = pyproject["project"]
    extra = project["optional-dependencies"]["redis"]
    return [Requirement(line) for line in (*project["dependencies"], *extra)]


@pytest.fixture(scope="module")
def tracing(pyproject: dict[str, Any]) -> list[Requirement]:
    extra = pyproject["project"]["optional-dependencies"]["tracing"]
    return [Requirement(line) for line in extra]


@pytest.fixture(scope="module")
def dev(pyproject: dict[str, Any]) -> list[Requirement]:
    return [Requirement(line) for line in pyproject["dependency-groups"]["dev"]]


def _names(wanted: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in wanted}


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_requirement_is_pinned_and_has_a_hash(locks: Path, name: str) -> None:
    hashed = re.compile(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}\b", re.DOTALL)
    entries = _entries(locks / name)

    assert entries
    assert [entry for entry in entries if not hashed.match(entry)] == []


def test_the_locks_hold_exactly_the_direct_dependencies_of_the_project(
    locks: Path, runtime: list[Requirement], tracing: list[Requirement], dev: list[Requirement]
) -> None:
    in_runtime = _asked_for_by("pyproject.toml", locks / "runtime.txt")
    in_tracing = _asked_for_by("pyproject.toml", locks / "tracing.txt")
    in_dev = _asked_for_by("pyproject.toml:dev", locks / "dev.txt")

    assert in_runtime == _names(runtime), "make lock"
    assert in_tracing == _names([*runtime, *tracing]), "make lock"
    assert in_dev == _names(dev), "make lock"


def test_every_locked_version_is_one_that_the_project_accepts(
    locks: Path, runtime: list[Requirement], tracing: list[Requirement], dev: list[Requirement]
) -> None:
    pins = _pins(locks / "dev.txt")
    refused = [
        f"{name}=={version} is not {wanted.specifier}"
        for wanted in [*runtime, *tracing, *dev]
        for name, version in pins
        if name == canonicalize_name(wanted.name) and version not in wanted.specifier
    ]

    assert refused == [], "make lock"


def test_the_tests_use_the_versions_of_production(locks: Path) -> None:
    assert _pins(locks / "runtime.txt") <= _pins(locks / "tracing.txt") <= _pins(locks / "dev.txt")
