"""What the pages refer to exists: links, files, tests, commands of make, settings."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from app.config import Settings

LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:app|tests|docs|deploy)/[\w./-]+)`")
TARGET = re.compile(r"(?:`|^)make ([a-z][a-z-]*)", re.MULTILINE)
TEST = re.compile(r"`(test_\w+_\w+_\w+)`")
CODE = re.compile(r"`([^`]+)`")
README_LINES = 120


@pytest.fixture
def pages(root: Path, tracked_files: list[Path]) -> list[Path]:
    """Every page except decisions, which tell of their own time, and the generated one."""
    return [
        root / path
        for path in tracked_files
        if path.suffix == ".md" and "decisions" not in path.parts and path.name != "assurance.md"
    ]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_page_and_a_heading_that_exist(pages: list[Path]) -> None:
    broken = []
    for page in pages:
        for link in LINK.findall(page.read_text("utf-8")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            if "://" in link:
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append((page.name, link))
    assert broken == []


def test_every_file_that_a_page_names_exists(root: Path, pages: list[Path]) -> None:
    named = {(page.name, name) for page in pages for name in FILE.findall(page.read_text("utf-8"))}
    assert {(page, name) for page, name in named if not (root / name).exists()} == set()


def test_every_make_target_that_a_page_names_exists(root: Path, pages: list[Path]) -> None:
    makefile = (root / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {name for page in pages for name in TARGET.findall(page.read_text("utf-8"))}
    assert named - targets == set()


def test_every_test_that_a_page_names_exists(root: Path, pages: list[Path]) -> None:
    tests = "".join(path.read_text("utf-8") for path in (root / "tests").rglob("test_*.py"))
    named = {name for page in pages for name in TEST.findall(page.read_text("utf-8"))}

    assert len(named) > 15
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_the_readme_is_short(root: Path) -> None:
    assert len((root / "README.md").read_text("utf-8").splitlines()) <= README_LINES


def settings_table(root: Path) -> list[tuple[list[str], list[str]]]:
    """The rows of docs/settings.md: the variables, and the defaults that stand in backticks."""
    text = (root / "docs" / "settings.md").read_text("utf-8")
    table = text.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    rows = re.findall(r"^\| (`[A-Z].*?) \| (.*?) \|", table, re.MULTILINE)
    return [(CODE.findall(names), CODE.findall(defaults)) for names, defaults in rows]


def test_the_table_of_settings_names_exactly_those_that_exist(root: Path) -> None:
    named = [name for names, _ in settings_table(root) for name in names]
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_the_table_of_settings_has_the_defaults_of_the_example(root: Path) -> None:
    example = dotenv_values(root / ".env.example")
    told = {
        name: default
        for names, defaults in settings_table(root)
        for name, default in zip(names, defaults, strict=False)
        if name != "SESSION_KEYS_FILE"  # its default is the image's
    }
    assert told == {name: example[name] for name in told}
    assert len(told) > len(example) / 2
