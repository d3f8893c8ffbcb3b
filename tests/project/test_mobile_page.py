"""docs/mobile.md says what an app does with every action and every end of a session."""

import re
from pathlib import Path
from typing import get_args

import pytest

from app.api.problems import ClientAction
from app.sessions.models import EndReason


@pytest.fixture
def rows(root: Path) -> set[str]:
    """The words in the first cells of all tables."""
    page = (root / "docs" / "mobile.md").read_text("utf-8")
    cells = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


def test_the_page_for_apps_explains_every_client_action(rows: set[str]) -> None:
    assert set(get_args(ClientAction)) - rows == set()


def test_the_page_for_apps_explains_every_end_reason(rows: set[str]) -> None:
    assert set(EndReason) - rows == set()
