"""`sandbox`: it needs no settings, and is as strict about those that it is given as `serve`.

That it serves is shown by tests/e2e.
"""

import json
from pathlib import Path

import pytest

from app.commands.sandbox import SandboxSettings
from app.config import Settings
from tests.commands.conftest import Shell

pytestmark = pytest.mark.usefixtures("taken_port")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE_URL", "postgres://:c4nary@db.acme.test"),
        ("SESSION_ISSUER", "http://login.acme.test"),
        ("DRAIN_DELAY", "soon"),
        ("LOG_FORMAT", "xml"),
        ("API_DOCS", "maybe"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    response = shell("sandbox")
    assert response.code == 2
    assert response.err.count("\n") == 1
    assert response.err.startswith(f"ticketgate: {name}: ")
    assert "c4nary" not in response.err


def test_a_port_that_is_taken_is_refused_in_one_line(shell: Shell) -> None:
    response = shell("sandbox")
    assert response.code == 2
    assert response.err.count("\n") == 1
    assert response.err.startswith("ticketgate: PORT: ")


@pytest.mark.parametrize("host", ["[::1]", "192.0.2.1", "a..b"])
def test_a_host_that_cannot_be_listened_on_is_not_used(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, host: str
) -> None:
    # Some shells and conda export a HOST that is meant for other programs.
    monkeypatch.setenv("HOST", host)
    note, refusal = shell("sandbox").err.splitlines()
    assert note.startswith("ticketgate: HOST: ")
    assert note.endswith("; the sandbox uses 127.0.0.1")
    assert refusal.startswith("ticketgate: PORT: cannot listen on 127.0.0.1:")


def test_the_sandbox_creates_its_keys_once_by_default(
    monkeypatch: pytest.MonkeyPatch, folder: Path, shell: Shell
) -> None:
    monkeypatch.delenv("SESSION_KEYS_FILE")
    made = folder / "sandbox-data" / "keys.json"
    shell("sandbox")
    keys = json.loads(made.read_bytes())
    shell("sandbox")
    assert json.loads(made.read_bytes()) == keys


def test_it_knows_the_same_settings_as_the_production_server() -> None:
    assert SandboxSettings.model_fields.keys() == Settings.model_fields.keys()


def test_a_key_file_that_cannot_be_made_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("SESSION_KEYS_FILE", str(tmp_path / "a-file" / "keys.json"))
    response = shell("sandbox")
    assert response.code == 2
    assert response.err.startswith("ticketgate: SESSION_KEYS_FILE: ")
    assert response.err.count("\n") == 1
