"""The changelog, the first page and the package agree on the version."""

import re
from pathlib import Path

import app


def test_the_changelog_begins_with_the_current_version(root: Path) -> None:
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)

    assert versions[0] == app.__version__


def test_the_first_page_has_the_current_version_in_both_languages(root: Path) -> None:
    assert f"version {app.__version__}," in (root / "README.md").read_text("utf-8")
    assert f"版本 {app.__version__}，" in (root / "README.zh-CN.md").read_text("utf-8")
