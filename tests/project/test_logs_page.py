"""docs/logs.md names every event and every field of the log, and no others."""

import re
from pathlib import Path
from typing import get_args

from app.events import EventName
from app.telemetry import logs

EVENTS = set(get_args(EventName))


def documented(root: Path, heading: str) -> set[str]:
    page = (root / "docs" / "logs.md").read_text("utf-8")
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    return {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}


def test_the_page_names_every_event(root: Path) -> None:
    assert documented(root, "Events") == EVENTS | {"library"}


def test_every_event_is_recorded_somewhere(root: Path) -> None:
    sources = [path for path in (root / "app").rglob("*.py") if path.name != "events.py"]
    text = "".join(path.read_text("utf-8") for path in sources)

    assert {event for event in EVENTS if f'"{event}"' not in text} == set()


def test_the_page_names_every_field(root: Path) -> None:
    assert documented(root, "Fields") == set(logs._FIELDS)
