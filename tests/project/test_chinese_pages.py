"""Each page in Chinese has the sections, commands, names and links of the English one."""

import re

import pytest

from tests.project.conftest import ROOT

PAGES = ("README", "docs/api", "docs/settings", "docs/operations", "docs/sandbox")
TRANSLATED = sorted(
    {*PAGES} | {str(p.relative_to(ROOT)).partition(".")[0] for p in ROOT.glob("docs/*.zh-CN.md")}
)
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(^| )#( .*)?$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def sections(page: str) -> list[tuple[str, str]]:
    """The level of each heading, and the text below it without blocks of code."""
    pieces = re.split(r"^(#+) .+$", BLOCK.sub("", page), flags=re.MULTILINE)[1:]
    return list(zip(pieces[::2], pieces[1::2], strict=True))


def blocks(page: str) -> list[tuple[str, str]]:
    """The language and the text of each block of code, but for comments and diagrams."""
    found = [(language, text) for language, text in BLOCK.findall(page) if language != "mermaid"]
    return [
        (language, re.sub(r" +$", "", COMMENT.sub("", text), flags=re.MULTILINE))
        for language, text in found
    ]


def names(section: str) -> list[str]:
    """What is written as code: settings, fields, commands, values."""
    return sorted({" ".join(name.split()) for name in re.findall(r"`([^`]+)`", section)})


def rows(section: str) -> list[list[str]]:
    """The names in each row of a table."""
    return [names(row) for row in re.findall(r"^\|.+", section, re.MULTILINE)]


def links(page: str) -> set[str]:
    """The files and addresses to which a page links."""
    return {link.partition("#")[0].replace(".zh-CN", "") for link in LINK.findall(page)} - {""}


@pytest.fixture(params=TRANSLATED)
def both(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The page in English and in Chinese."""
    english, chinese = (ROOT / f"{request.param}{ending}" for ending in (".md", ".zh-CN.md"))
    return english.read_text("utf-8"), chinese.read_text("utf-8")


def test_a_chinese_page_has_the_same_sections_with_the_same_names(both: tuple[str, str]) -> None:
    english, chinese = map(sections, both)
    assert [level for level, _ in chinese] == [level for level, _ in english]
    for (_, text), (_, translated) in zip(english, chinese, strict=True):
        assert names(translated) == names(text)
        assert rows(translated) == rows(text)
        assert len(re.findall(r"^(-|\d+\.) ", translated, re.MULTILINE)) == len(
            re.findall(r"^(-|\d+\.) ", text, re.MULTILINE)
        )


def test_a_chinese_page_has_the_same_commands_and_examples(both: tuple[str, str]) -> None:
    english, chinese = map(blocks, both)
    assert chinese == english


def test_a_chinese_page_has_the_same_links(both: tuple[str, str]) -> None:
    english, chinese = map(links, both)
    assert chinese == english
