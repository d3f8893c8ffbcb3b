"""docs/mobile.md says what an app must do, in two languages, with code of the clients for apps."""

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


def first_cells(text: str) -> list[set[str]]:
    """The words in backticks in the first two cells of each row, by table row."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    return [set(re.findall(r"`(\w+)`", "".join(row))) for row in rows]


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_the_page_for_apps_explains_every_client_action_and_end_reason(
    root: Path, name: str
) -> None:
    explained = set().union(*first_cells(page(root, name)))

    assert {*get_args(ClientAction), *EndReason} - explained == set()


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_each_snippet_consists_of_lines_of_its_file(root: Path, name: str) -> None:
    snippets = SNIPPET.findall(page(root, name))

    assert len(snippets) == page(root, name).count("<!-- from ")
    for _, file, code in snippets:
        lines, wanted = (root / file).read_text("utf-8").splitlines(), dedent(code).splitlines()
        parts = ("\n".join(lines[at : at + len(wanted)]) for at in range(len(lines)))
        assert dedent(code) in map(dedent, parts), file


def test_the_chinese_page_has_the_same_parts(root: Path) -> None:
    english, chinese = (page(root, name) for name in (ENGLISH, CHINESE))

    def parts(text: str) -> list[object]:
        outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        headings = re.findall(r"^(#+) ", outside, re.MULTILINE)
        return [headings, re.findall(r"```.*?```", text, re.DOTALL), first_cells(text)]

    assert parts(chinese) == parts(english)
