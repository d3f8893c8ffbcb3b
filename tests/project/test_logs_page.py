"""docs/logs.md names every event and every field that there is, and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from app.telemetry import logs

RECORDERS = {"log", "record", "audit", "report"}


def events_in(source: Path) -> Iterator[str]:
    """The first words that are handed to whatever records events, by its name."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in RECORDERS:
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lstrip("_")
    return ""


def documented(root: Path, heading: str) -> set[str]:
    page = (root / "docs" / "logs.md").read_text("utf-8")
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    return {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}


def test_the_page_names_every_event(root: Path) -> None:
    sources = [
        path
        for path in (root / "app").rglob("*.py")
        if "sandbox" not in path.parts and path.name != "check.py"  # which reports to a person
    ]
    recorded = {event for source in sources for event in events_in(source)}

    assert "session_opened" in recorded
    assert documented(root, "Events") == recorded | {"library"}


def test_the_page_names_every_field(root: Path) -> None:
    assert documented(root, "Fields") == set(logs._FIELDS)
