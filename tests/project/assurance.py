"""Writes docs/assurance.md from the tables beside this module. `make assurance` runs it."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "assurance.md"
TABLES = ("matrix.toml", "asvs.toml")


def read(name: str) -> dict[str, Any]:
    """One table: `introduction` and `part`, a list of `title`, `rows` and perhaps `tests`."""
    return tomllib.loads((Path(__file__).parent / name).read_text("utf-8"))


def rows_of(part: dict[str, Any]) -> Iterator[tuple[str, list[str], str]]:
    """Property, test files and folders below the repository, and note."""
    for row in part["rows"]:
        what, tests, note = ([*row, "", ""] if isinstance(row, list) else [row, part["tests"], ""])[
            :3
        ]
        yield what, [f"tests/{path}" for path in tests.split()], note


def page() -> str:
    lines: list[str] = []
    for chapter in map(read, TABLES):
        lines.append(chapter["introduction"])
        for part in chapter["part"]:
            lines.append(f"### {part['title']}\n\n| property | tests | note |\n|---|---|---|")
            for what, tests, note in rows_of(part):
                lines.append(f"| {what} | {'<br>'.join(f'`{t}`' for t in tests)} | {note} |")
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
