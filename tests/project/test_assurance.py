"""The tables behind docs/assurance.md name tests that exist."""

import pytest

from tests.project.assurance import ROOT, TABLES, page, read, rows_of

ROWS = [row for name in TABLES for part in read(name)["part"] for row in rows_of(part)]


@pytest.mark.parametrize(("what", "tests", "note"), ROWS)
def test_a_row_names_existing_tests_or_a_reason(what: str, tests: list[str], note: str) -> None:
    assert [path for path in tests if not (ROOT / path).exists()] == []
    assert tests or note, what


def test_the_page_has_a_line_for_each_row() -> None:
    lines = page().splitlines()

    assert sum(line.startswith("| ") for line in lines) == len(ROWS) + sum(
        len(read(name)["part"]) for name in TABLES
    )
