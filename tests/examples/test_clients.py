"""The reference clients are short, compile, and get the full grade of the sandbox."""

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.examples.clients import BUILDERS, CLIENTS, EXAMPLES, HARNESSES
from tests.support.processes import Program

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


@pytest.mark.long
@pytest.mark.parametrize("name", BUILDERS)
def test_a_client_gets_the_full_grade(name: str, tmp_path: Path) -> None:
    command = BUILDERS[name](tmp_path)
    settings = dict(os.environ) | {"PORT": "0"}
    sandbox = Program(tmp_path, "-m", "app", "sandbox", "--grade", environment=settings)
    try:
        address = sandbox.line_with("Ticketgate sandbox on").split()[-1]
        phone = subprocess.run([*command, address], capture_output=True, text=True, check=False)
        logins = httpx.get(f"{address}/sandbox/stats").json()["logins"]
    finally:
        sandbox.close()

    assert phone.returncode == 0, phone.stderr
    report = json.loads(phone.stdout.splitlines()[-1])
    assert {
        each["name"]: each["findings"] for each in report["scenarios"] if each["findings"]
    } == {}
    assert report["finished"]
    assert logins > len(report["scenarios"])
