"""docs/architecture.md draws the imports that the code has, and names parts that exist."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Arrows = set[tuple[str, str]]
NAMED = re.compile(r"`(app/[\w/]+\.py)` `([\w.]+)`(?:(?:,| and) `([\w.]+)`)?")


def page(root: Path) -> str:
    return (root / "docs" / "architecture.md").read_text("utf-8")


def drawn(root: Path) -> Arrows:
    return set(re.findall(r"^ +(\w+) --> (\w+)$", page(root), re.MULTILINE))


def imported(root: Path) -> Arrows:
    """The imports between the parts of app: packages, and modules that belong to none."""
    arrows: Arrows = set()
    for source in (root / "app").rglob("*.py"):
        part = source.relative_to(root / "app").with_suffix("").parts[0]
        arrows |= {(part, other) for other in imports_of(source) if other != part}
    return {(part, other) for part, other in arrows if part != "__init__"}


def imports_of(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "app":
            yield from (name.name for name in node.names if name.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("app."):
            yield (node.module or "").split(".")[1]


def reachable(arrows: Arrows) -> Arrows:
    below = defaultdict(set)
    for part, other in arrows:
        below[part].add(other)
    found: Arrows = set()
    for part in list(below):
        waiting = list(below[part])
        while waiting:
            other = waiting.pop()
            if (part, other) not in found:
                found.add((part, other))
                waiting += below[other]
    return found


def test_every_import_between_packages_follows_the_arrows(root: Path) -> None:
    assert imported(root) - reachable(drawn(root)) == set()


def test_every_arrow_is_an_import(root: Path) -> None:
    assert drawn(root) - imported(root) == set()


def test_every_part_of_app_has_a_line(root: Path) -> None:
    first_cells = re.findall(r"^\| (`.+?`) \|", page(root), re.MULTILINE)
    named = {name.rstrip("/") for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}
    parts = {path.name for path in (root / "app").iterdir() if path.suffix in {"", ".py"}}

    assert named == parts - {"__init__.py", "__pycache__"}


def test_every_function_and_class_of_a_step_is_in_the_file_that_is_named(root: Path) -> None:
    steps = NAMED.findall(page(root))
    assert len(steps) > 15
    for file, *names in steps:
        source = (root / file).read_text("utf-8")
        for name in (last for whole in names for last in whole.split(".") if last):
            assert re.search(rf"\b(class|def) {name}\b|^{name}\b", source, re.MULTILINE), (
                file,
                name,
            )
