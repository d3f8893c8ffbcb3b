"""The tables behind docs/assurance.md name tests that exist."""

from tests.project.assurance import ROOT, TABLES, page, read, rows_of

PARTS = [part for name in TABLES for part in read(name)["part"]]
ROWS = [row for part in PARTS for row in rows_of(part)]


def test_every_file_and_folder_of_a_row_exists() -> None:
    named = {path for _what, tests, _note in ROWS for path in tests}

    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_row_has_a_test_or_a_note() -> None:
    assert [what for what, tests, note in ROWS if not (tests or note)] == []


def test_the_page_has_a_line_for_each_row_and_each_heading() -> None:
    lines = [line for line in page().splitlines() if line.startswith("| ")]

    assert len(lines) == len(ROWS) + len(PARTS)
