"""docs/architecture.md draws the imports that the code has, and names parts that exist."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Arrows = set[tuple[str, str]]
CODE = re.compile(r"`([^`]+)`")
NAMED = re.compile(r"`(app/[\w/]+\.py)`\s((?:(?:, | and )?`[\w.]+`)+)")


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


def test_every_part_of_app_has_a_node_and_a_line(root: Path) -> None:
    table = page(root).partition("| part of")[2].partition("\n\n")[0]
    first_cells = re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)
    named = {name for cell in first_cells for name in CODE.findall(cell)}
    parts = {path for path in (root / "app").iterdir() if path.suffix in {"", ".py"}}
    written = {path.name if path.suffix else f"{path.name}/" for path in parts}

    assert named == written - {"__init__.py", "__pycache__/"}
    assert set(re.findall(r'^ +\w+\["(.+)"\]$', page(root), re.MULTILINE)) == named


def test_only_its_command_imports_the_sandbox(root: Path) -> None:
    sources = {path for path in (root / "app").rglob("*.py") if "sandbox" in imports_of(path)}
    outside = {
        str(path.relative_to(root / "app")) for path in sources if path.parent.name != "sandbox"
    }

    assert outside == {"commands/sandbox.py"}


def test_the_table_of_ports_names_every_port(root: Path) -> None:
    ports = (root / "app" / "sessions" / "ports.py").read_text("utf-8")
    declared = re.findall(r"^class (\w+)\(Protocol\)|^(\w+): TypeAlias", ports, re.MULTILINE)
    section = page(root).partition("\n## Ports\n")[2].partition("\n## ")[0]

    named = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    assert named == {name for names in declared for name in names if name} | {"Events"}


def test_every_function_and_class_is_in_the_file_that_is_named(root: Path) -> None:
    steps = NAMED.findall(page(root))
    assert len(steps) > 15
    for file, names in steps:
        source = (root / file).read_text("utf-8")
        for name in (part for whole in CODE.findall(names) for part in whole.split(".")):
            assert re.search(rf"\b(class|def) {name}\b|^{name}\b", source, re.MULTILINE), (
                file,
                name,
            )
