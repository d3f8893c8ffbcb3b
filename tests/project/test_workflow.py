"""GitHub workflows have read permission only, but for a release, and pin every action to a commit.

`make check` also runs zizmor on them.
"""

import re
from pathlib import Path

import pytest

from tests.project.conftest import ROOT

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
