"""The lock files: hashed throughout, and compiled from what pyproject.toml says today."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ["runtime.txt", "dev.txt", "uv.txt"]


def _entries(lock: Path) -> list[str]:
    """One text per requirement: the line, its hashes and the comment on who wants it."""
    return re.split(r"^(?=\w)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


def _pins(lock: Path) -> dict[str, str]:
    """Version by name. A package that is pinned twice, by marker, would want more than this."""
    found = [re.match(r"([\w.-]+)==(\S+)", entry) for entry in _entries(lock)]
    return {pin[1]: pin[2] for pin in found if pin}


def _asked_for_by(source: str, lock: Path) -> set[str]:
    wanted = re.compile(rf"^ +# +(via )?ticketgate \({re.escape(source)}\)$", re.MULTILINE)
    return {entry.split("==")[0] for entry in _entries(lock) if wanted.search(entry)}


@pytest.fixture(scope="module")
def requirements(root: Path) -> Path:
    return root / "requirements"


@pytest.fixture(scope="module")
def pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runtime(pyproject: dict[str, Any]) -> list[Requirement]:
    return [Requirement(line) for line in pyproject["project"]["dependencies"]]


@pytest.fixture(scope="module")
def dev(pyproject: dict[str, Any]) -> list[Requirement]:
    return [Requirement(line) for line in pyproject["dependency-groups"]["dev"]]


def _names(wanted: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in wanted}


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_requirement_is_pinned_and_has_a_hash(requirements: Path, name: str) -> None:
    entries = _entries(requirements / name)
    loose = [e for e in entries if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", e, re.S)]

    assert entries
    assert loose == []


def test_the_locks_hold_exactly_the_direct_dependencies_of_the_project(
    requirements: Path, runtime: list[Requirement], dev: list[Requirement]
) -> None:
    in_runtime = _asked_for_by("pyproject.toml", requirements / "runtime.txt")
    in_dev = _asked_for_by("pyproject.toml:dev", requirements / "dev.txt")

    assert in_runtime == _names(runtime), "make lock"
    assert in_dev == _names(dev), "make lock"


def test_every_locked_version_is_one_that_the_project_accepts(
    requirements: Path, runtime: list[Requirement], dev: list[Requirement]
) -> None:
    pins = _pins(requirements / "dev.txt")
    versions = {r.name: (pins[canonicalize_name(r.name)], r.specifier) for r in [*runtime, *dev]}

    assert {n: v for n, (v, accepted) in versions.items() if v not in accepted} == {}


def test_the_tests_run_with_the_versions_that_production_gets(requirements: Path) -> None:
    production = _pins(requirements / "runtime.txt")

    assert production.items() <= _pins(requirements / "dev.txt").items()
