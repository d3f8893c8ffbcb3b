"""The reference clients are short, and their code is valid."""

import pytest

from tests.examples.clients import CLIENTS, EXAMPLES, HARNESSES

LONGEST = 250


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_has_at_most_250_lines(name: str) -> None:
    assert len(CLIENTS[name].read_text("utf-8").splitlines()) <= LONGEST


def test_the_swift_files_have_no_syntax_error() -> None:
    parsing = pytest.importorskip("tree_sitter", reason="make clients")
    grammar = pytest.importorskip("tree_sitter_swift", reason="make clients")
    parser = parsing.Parser(parsing.Language(grammar.language()))
    files = [*(EXAMPLES / "ios").rglob("*.swift"), *(HARNESSES / "swift").rglob("*.swift")]

    wrong = [file.name for file in files if parser.parse(file.read_bytes()).root_node.has_error]

    assert wrong == []
    assert len(files) > 4
    assert parser.parse(b"func broken( {").root_node.has_error
