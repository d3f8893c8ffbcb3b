"""The files of the repository: contents that none may have, modes of scripts, and one version."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import app

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


# --- version ---


def test_the_changelog_begins_with_the_current_version(root: Path) -> None:
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)

    assert versions[0] == app.__version__


def test_the_first_page_has_the_current_version_in_both_languages(root: Path) -> None:
    assert f"version {app.__version__}," in (root / "README.md").read_text("utf-8")
    assert f"版本 {app.__version__}，" in (root / "README.zh-CN.md").read_text("utf-8")


NOTES = "\n### Added\n\n- Something.\n\n"


@pytest.mark.parametrize(
    ("tag", "heading", "printed", "refusal"),
    [
        (f"v{app.__version__}", "{0} - 2026-12-01", NOTES, ""),
        (f"v{app.__version__}", "{0} - unreleased", "", "CHANGELOG.md has no section"),
        (f"v{app.__version__}", "0.0.9 - 2026-12-01", "", "CHANGELOG.md has no section"),
        ("v9.9.9", "9.9.9 - 2026-12-01", "", "app/__init__.py is not version 9.9.9"),
    ],
)
def test_the_notes_of_a_release_need_its_version_and_a_date(
    root: Path, tmp_path: Path, *, tag: str, heading: str, printed: str, refusal: str
) -> None:
    for name in ("deploy/release-notes", "app/__init__.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(root / name, tmp_path / name)
    version, _, date = heading.format(app.__version__).partition(" - ")
    text = f"# Changelog\n\n## [{version}] - {date}\n{NOTES}## [0.0.1] - 2026-01-01\n\nOld.\n"
    (tmp_path / "CHANGELOG.md").write_text(text)

    answer = subprocess.run(
        [tmp_path / "deploy/release-notes", tag], capture_output=True, text=True, check=False
    )

    assert answer.stdout == printed
    assert (answer.returncode, answer.stderr.startswith(refusal)) == (int(refusal != ""), True)
