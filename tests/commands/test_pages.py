"""The commands that a reader copies from the pages work."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.__main__ import main
from tests.commands.conftest import Shell
from tests.commands.environment import enter
from tests.commands.test_check import authing
from tests.commands.test_init import ANSWERS
from tests.support.keys import read_keys
from tests.support.processes import ROOT
from tests.support.terminal import answered

PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES.append(ROOT / "deploy" / "README.md")


def blocks(page: Path, containing: str) -> list[list[str]]:
    """The shell blocks with this text, as lines without their comments."""
    found = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(r" +#.*", "", block).splitlines() for block in found if containing in block]


def commands(lines: list[str]) -> Iterator[list[str]]:
    for line in lines:
        if match := re.search(
            r"(?:python -m app|--rm \S+|ticketgate) (init|serve|check|keys .*|explain .*)$", line
        ):
            yield shlex.split(match[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    for lines in blocks(page, ""):
        for command in commands(lines):
            with pytest.raises(SystemExit, match=r"^0$"):
                main([*command, "--help"])


@pytest.mark.parametrize("page", PAGES[:2], ids=["English", "Chinese"])
def test_the_lines_for_production_lead_from_a_fresh_clone_to_a_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, taken_port: int, shell: Shell, page: Path
) -> None:
    (lines,) = blocks(page, "-m app serve")
    init, serve = commands(lines)
    enter(tmp_path, monkeypatch, PORT=str(taken_port))
    with authing() as (address, _):
        monkeypatch.setenv("AUTHING_BASE_URL", address)
        code, shown = answered(
            tmp_path, "-m", "app", *init, environment=os.environ, answers=ANSWERS
        )
    assert code == 0, shown
    response = shell(*serve)
    assert response.err.startswith("ticketgate: PORT: "), response.err  # all else was good


def test_the_lines_that_roll_a_key_over_work_in_their_order(
    monkeypatch: pytest.MonkeyPatch, folder: Path, shell: Shell
) -> None:
    (lines,) = blocks(ROOT / "docs" / "operations.md", "keys promote")
    monkeypatch.setenv("SESSION_KEYS_FILE", lines[0].partition("=")[2])
    new, listed, add, promote, retire, _ = commands(lines)
    for command in (new, listed, add):
        assert shell(*command).code == 0
    path = folder / "keys" / "keys.json"
    old, added = (key.kid for key in read_keys(path).signing_keys)
    assert shell(*promote[:-1], added).code == 0
    assert "may be valid until" in shell(*retire[:-1], old).err
    assert shell(*retire[:-1], old, "--force").code == 0
