"""docs/mobile.md says what an app must do, in two languages, with code of the clients for apps."""

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import get_args

import pytest

from app.api.problems import ClientAction
from app.sessions.models import EndReason

ENGLISH, CHINESE = "mobile.md", "mobile.zh-CN.md"
SNIPPET = re.compile(r"^( *)<!-- from (\S+) -->\n *```\w+\n(.*?)\n *```$", re.MULTILINE | re.DOTALL)


def page(root: Path, name: str) -> str:
    return (root / "docs" / name).read_text("utf-8")


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_the_page_for_apps_explains_every_client_action_and_end_reason(
    root: Path, name: str
) -> None:
    cells = re.findall(r"^\| ([^|]+) \|", page(root, name), re.MULTILINE)
    explained = {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}

    assert {*get_args(ClientAction), *EndReason} - explained == set()


def test_the_error_on_the_page_for_apps_is_one_of_the_service(root: Path) -> None:
    block = re.search(r"<!-- error -->\n```json\n(.*?)```", page(root, ENGLISH), re.DOTALL)
    examples = json.loads((root / "app" / "api" / "examples.json").read_text("utf-8"))

    assert block
    assert json.loads(block[1]) == examples["503"]["store_unavailable"]


@pytest.mark.parametrize("name", [ENGLISH, CHINESE, "backend.md"])
def test_each_snippet_consists_of_lines_of_its_file(root: Path, name: str) -> None:
    snippets = SNIPPET.findall(page(root, name))

    assert len(snippets) == page(root, name).count("<!-- from ")
    for _, file, code in snippets:
        lines, wanted = (root / file).read_text("utf-8").splitlines(), dedent(code).splitlines()
        parts = ("\n".join(lines[at : at + len(wanted)]) for at in range(len(lines)))
        assert dedent(code) in map(dedent, parts), file
