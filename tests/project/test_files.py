"""Contents that no tracked file may have, and modes that scripts need."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# Each pattern is written so that it does not match its own source.
INDEX_ADDRESS = re.compile(
    r"--(extra-)?index[-]url"
    r"|https?://[^\s\"']+/simple\b"
    r"|files\.pythonhosted[.]org"
)
MACHINE_PATH = re.compile(
    r"(?<![\w.$}-])/(root|(home|Users)/\w[\w.-]*)[/]"
    r"|\b[A-Z]:\\Users[\\]"
)


def _lines(root: Path, files: list[Path]) -> Iterator[tuple[str, str]]:
    for path in files:
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            yield f"{path}:{number}", line


@pytest.mark.parametrize("pattern", [INDEX_ADDRESS, MACHINE_PATH], ids=["index", "path"])
def test_no_tracked_file_names_a_machine(
    root: Path, tracked_files: list[Path], pattern: re.Pattern[str]
) -> None:
    assert [place for place, line in _lines(root, tracked_files) if pattern.search(line)] == []


def test_no_source_holds_a_reminder_or_a_patch(root: Path, tracked_files: list[Path]) -> None:
    unwanted = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b|mock[.]patch|fastapi[.]testclient")
    sources = [path for path in tracked_files if path.suffix == ".py"]

    assert [place for place, line in _lines(root, sources) if unwanted.search(line)] == []


def test_every_script_is_executable(root: Path, tracked_files: list[Path]) -> None:
    scripts = [p for p in tracked_files if (root / p).read_bytes().startswith(b"#!")]

    assert [path for path in scripts if not (root / path).stat().st_mode & 0o100] == []


def test_the_operations_page_says_when_the_mini_program_must_be_associated(root: Path) -> None:
    text = (root / "docs" / "operations.md").read_text("utf-8")
    assert "wxa0435021fd7a3af2" in text
    assert "associated with the app" in " ".join(text.split())
