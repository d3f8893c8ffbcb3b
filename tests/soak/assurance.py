"""docs/assurance.md: which test proves what. `make assurance` writes it from the tests' own names.

The rows are in `matrix.toml` and `asvs.toml`; pytest says which tests there are. So a test that is
renamed or gone, and an id that no row has, are found where the page is made, and a page that is
behind is found by a test.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "assurance.md"
_NEEDED = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")
_SCENARIOS = "tests/sessions/test_s1_to_s16.py"
"""Only there, S and a number is a row; elsewhere it is a section of Authing's reference."""


class Drift(Exception):
    """The rows and the tests do not fit together. The text says where."""


@dataclass(frozen=True)
class Case:
    """One test as pytest collects it."""

    file: str
    function: str
    ids: frozenset[str]


@dataclass(frozen=True)
class Row:
    """One line of a table; `tests` are those that do not bear its id."""

    id: str
    what: str
    tests: Sequence[str] = ()
    also: str = ""
    by: str = ""
    not_here: str = ""
    not_applicable: str = ""
    not_met: str = ""


@dataclass(frozen=True)
class Part:
    """One table."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Chapter:
    """One of the files beside this module."""

    introduction: str
    parts: tuple[Part, ...]


def read(name: str) -> Chapter:
    """The chapter in this file."""
    data = tomllib.loads((ROOT / "tests" / "soak" / name).read_text("utf-8"))
    parts = (
        Part(part["title"], tuple(Row(key, **row) for key, row in part["rows"].items()))
        for part in data["part"]
    )
    return Chapter(data["introduction"], tuple(parts))


def collect(folder: str = "tests") -> list[Case]:
    """Every test that pytest finds, with nothing in the environment that changes their number.

    Raises:
        Drift: pytest could not collect them all.
    """
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q")
    environment = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    found = subprocess.run(  # pytest, over our own tests
        [*command, folder], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        raise Drift(f"pytest cannot collect the tests:\n{found.stdout[-2000:]}")
    return [case_of(line) for line in found.stdout.splitlines() if "::" in line]


def case_of(node: str) -> Case:
    """A test by its node id, such as `tests/upstream/test_faults.py::test_x[U7-drip-header]`."""
    path, _, parameters = node.partition("[")
    file, _, function = path.partition("::")
    return Case(file, function, frozenset(_ids(file, function, f"[{parameters}")))


def _ids(file: str, function: str, parameters: str) -> Iterator[str]:
    yield from re.findall(r"(?<=[\[-])[TU]\d+(?:\.\d+)?(?=-)", parameters)
    if named := re.match(r"test_((?:[tuc]\d+_(?:\d+_)?)+)", function):
        for letter, number, point in re.findall(r"([tuc])(\d+)_(?:(\d+)_)?", named[1]):
            yield f"{letter.upper()}{number}" + (f".{point}" if point else "")
    if file == _SCENARIOS and (scenario := re.match(r"test_s(\d+)_", function)):
        yield f"S{scenario[1]}"


def proofs_of(row: Row, cases: list[Case]) -> list[Case]:
    """The tests that bear the row's id or that it names.

    Raises:
        Drift: it names one that there is not, or has neither a test nor a reason.
    """
    names = {name for case in cases for name in (case.file, f"{case.file}::{case.function}")}
    if missing := set(row.tests) - names:
        raise Drift(f"{row.id} names what is no test: {sorted(missing)}")
    found = [
        case
        for case in cases
        if row.id in case.ids or {case.file, f"{case.file}::{case.function}"} & set(row.tests)
    ]
    if not (found or row.not_here or row.not_applicable):
        raise Drift(f"{row.id} has no test, and no reason why")
    return found


def page(matrix: Chapter, asvs: Chapter, cases: list[Case]) -> str:
    """The whole page.

    Raises:
        Drift: see `proofs_of`; or a test bears an id that no row of the matrix has.
    """
    known = {row.id for part in matrix.parts for row in part.rows}
    if unknown := {name for case in cases for name in case.ids} - known:
        raise Drift(f"tests bear ids that no row has: {sorted(unknown)}")
    return "\n".join(text for chapter in (matrix, asvs) for text in _written(chapter, cases))


def _written(chapter: Chapter, cases: list[Case]) -> Iterator[str]:
    yield chapter.introduction
    for part in chapter.parts:
        yield from _table(part, cases)


def _table(part: Part, cases: list[Case]) -> Iterator[str]:
    yield f"### {part.title}\n\n| | what | proven by | cases |\n|---|---|---|---:|"
    for row in part.rows:
        found = proofs_of(row, cases)
        by = "<br>".join([*_words(row), *_names(row, found)])
        yield f"| {row.id} | {row.what} | {by} | {len(found) or ''} |"
    yield ""


def _words(row: Row) -> Iterator[str]:
    yield from filter(None, [row.by, row.also and f"Also: {row.also}"])
    for label in ("not_here", "not_applicable", "not_met"):
        if reason := getattr(row, label):
            yield f"**{label.replace('_', ' ')}**: {reason}"


def _names(row: Row, found: list[Case]) -> Iterator[str]:
    """Whole files by their name, of others the functions."""
    for file, cases in groupby(sorted(found, key=lambda case: case.file), lambda case: case.file):
        if file in row.tests:
            yield f"`{file}`"
        else:
            yield from (f"`{file}::{name}`" for name in sorted({case.function for case in cases}))


if __name__ == "__main__":
    PAGE.write_text(page(read("matrix.toml"), read("asvs.toml"), collect()), encoding="utf-8")
