"""The changelog and the package agree on the version."""

import re
from pathlib import Path

import app


def test_the_changelog_begins_with_the_current_version(root: Path) -> None:
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)

    assert versions[0] == app.__version__
