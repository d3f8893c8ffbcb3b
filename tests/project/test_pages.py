"""What the pages refer to exists, and what they list is all that the code has."""

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import get_args

import pytest
from dotenv import dotenv_values

from app.api.problems import ClientAction
from app.config import Settings
from app.events import EventName
from app.sessions.models import EndReason
from app.telemetry import logs
from benchmarks import plan

LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:app|tests|docs|deploy)/[\w./-]+)`")
TARGET = re.compile(r"(?:`|^)make ([a-z][a-z-]*)", re.MULTILINE)
TEST = re.compile(r"`(test_\w+_\w+_\w+)`")
CODE = re.compile(r"`([^`]+)`")
README_LINES = 120
EVENTS = set(get_args(EventName))
ENGLISH, CHINESE = "mobile.md", "mobile.zh-CN.md"
SNIPPET = re.compile(r"^( *)<!-- from (\S+) -->\n *```\w+\n(.*?)\n *```$", re.MULTILINE | re.DOTALL)


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


# --- docs/logs.md ---


def first_cells_of_logs(root: Path, heading: str) -> set[str]:
    page = (root / "docs" / "logs.md").read_text("utf-8")
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    return {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}


def test_the_page_names_every_event(root: Path) -> None:
    assert first_cells_of_logs(root, "Events") == EVENTS | {"library"}


def test_every_event_is_recorded_somewhere(root: Path) -> None:
    sources = [path for path in (root / "app").rglob("*.py") if path.name != "events.py"]
    text = "".join(path.read_text("utf-8") for path in sources)

    assert {event for event in EVENTS if f'"{event}"' not in text} == set()


def test_the_page_names_every_field(root: Path) -> None:
    assert first_cells_of_logs(root, "Fields") == set(logs._FIELDS)


# --- docs/capacity.md, docs/mobile.md and docs/backend.md ---


def test_the_page_of_capacity_states_the_assumptions_of_the_plan(root: Path) -> None:
    page = (root / "docs" / "capacity.md").read_text("utf-8")
    table = page.partition("| assumption | value |")[2].partition("\n\n")[0]

    stated = re.findall(r"^\| [^|]+ \| ([\d.]+)( %)?", table, re.MULTILINE)

    assert [float(value) / (100 if percent else 1) for value, percent in stated] == [
        plan.ACTIVE,
        *plan.PER_DAY.values(),
        plan.PEAK,
        plan.BUSY,
        plan.STORED,
    ]


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
