"""The workflow on GitHub: it may read, and it runs no action that can change under it."""

import re
from pathlib import Path

import pytest


@pytest.fixture
def workflow(root: Path) -> str:
    return (root / ".github/workflows/ci.yml").read_text(encoding="utf-8")


def test_every_action_is_pinned_to_a_commit_and_names_its_version(workflow: str) -> None:
    used = re.findall(r"uses: (.+)", workflow)

    assert used
    assert [u for u in used if not re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", u)] == []


def test_the_workflow_has_no_permission_but_to_read_the_code(workflow: str) -> None:
    granted = re.findall(r"^ +(\w[\w-]*): (read|write)$", workflow, re.MULTILINE)

    assert "\npermissions: {}\n" in workflow
    assert granted == [("contents", "read")]
