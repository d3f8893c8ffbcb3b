"""The changelog, the first page, the package and the tag of a release agree on the version."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import app


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
