"""The table of errors is complete, in both languages, and the same as in docs/api.md."""

import re
from pathlib import Path

import pytest

from app.api.problems import MESSAGES, PROBLEMS
from app.errors import TicketgateError
from tests.api.routes import OAUTH, ROUTES, WEBHOOKS

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def leaves(kind: type[TicketgateError]) -> list[type[TicketgateError]]:
    """Walk down to the errors that are raised; those above only group them."""
    below = [child for child in kind.__subclasses__() if child.__module__ == kind.__module__]
    return [leaf for child in below for leaf in leaves(child)] or [kind]


KINDS = leaves(TicketgateError)


def rows_of(page: str) -> list[tuple[int, str, str]]:
    """Read the rows between the markers: status, code, client action."""
    _, _, rest = page.partition("<!-- errors -->")
    table, end, _ = rest.partition("<!-- /errors -->")
    assert end, "docs/api.md has no table of errors between its two markers"
    _head, _rule, *lines = table.strip().splitlines()
    cells = [[cell.strip().strip("`") for cell in line.strip("| ").split("|")] for line in lines]
    return [(int(status), code, action) for status, code, action, *_ in cells]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_row(kind: type[TicketgateError]) -> None:
    assert kind in PROBLEMS


def test_every_row_is_of_an_error_that_exists() -> None:
    assert PROBLEMS.keys() <= set(KINDS)


def test_every_code_has_its_texts_and_every_text_its_code() -> None:
    assert MESSAGES.keys() == {kind.code for kind in KINDS}


@pytest.mark.parametrize("code", sorted({kind.code for kind in KINDS}))
def test_an_error_is_worded_in_english_and_in_chinese(code: str) -> None:
    english, chinese = MESSAGES[code]["en"], MESSAGES[code]["zh"]
    assert all(english)
    assert all(text.isascii() for text in english)
    assert not any(text.isascii() for text in chinese)


def test_the_page_has_the_same_table_as_the_code() -> None:
    rows = rows_of(PAGE.read_text("utf-8"))
    assert len(set(rows)) == len(rows)
    assert set(rows) == {(row.status, e.code, row.client_action) for e, row in PROBLEMS.items()}


def test_the_page_has_the_same_routes_as_the_code() -> None:
    section = PAGE.read_text("utf-8").partition("\n## Routes\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[A-Z].*?`) \| ", section.replace("\\|", "or"), re.MULTILINE)
    told = {
        (method, re.sub(r"\{\w+\}", "{}", path))
        for cell in cells
        for path in re.findall(r"(/[^\s?`,]*)", cell)
        for method in re.findall(r"[A-Z]{3,}", cell)
    }
    # HEAD is told in a sentence; the pages that API_DOCS turns on are no part of the API.
    served = {
        (method, re.sub(r"\{\w+\}", "{}", path))
        for path, methods in (ROUTES | OAUTH | WEBHOOKS).items()
        for method in methods - {"HEAD"}
    }
    assert told == served | {("GET", "/docs"), ("GET", "/openapi.json")}
