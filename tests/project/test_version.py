"""One version, told in two places."""

import re
from pathlib import Path

import app


def test_the_newest_version_of_the_changelog_is_the_version_of_the_program(root: Path) -> None:
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)

    assert versions[0] == app.__version__
