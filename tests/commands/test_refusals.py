"""Wrong configurations: each is refused in one line that names the setting and shows no secret."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.stores.sqlite import open_sqlite_store
from tests.commands.conftest import Shell

ROOT = Path(__file__).parents[2]
CANARY = "c4nary0f1e2d3c4b5a"  # stands in whatever an operator might have meant to keep secret
REQUIRED = (
    "SESSION_KEYS_FILE",
    "AUTHING_USER_POOL_ID",
    "AUTHING_USER_POOL_SECRET",
    "SESSION_ISSUER",
)
WRONG_VALUES = [
    ("AUTHING_USER_POOL_SECRET", f"{CANARY}-change-me", "is a sample value"),
    ("AUTHING_BASE_URL", f"https://admin:{CANARY}@authing.acme.test", "must have no user"),
    ("STORE_URL", f"postgres://:{CANARY}@db.acme.test", "must be sqlite:///relative/path"),
    ("SESSION_IDLE_TTL", "P31D", "must not be longer than SESSION_ABSOLUTE_TTL"),
]


def make(content: bytes | None) -> Callable[[Path], Path]:
    """A maker of a file in a folder; None makes a folder instead."""

    def make(folder: Path) -> Path:
        made = folder / "made"
        made.mkdir() if content is None else made.write_bytes(content)
        return made

    return make


missing: Callable[[Path], Path] = lambda folder: folder / "missing"  # noqa: E731
a_folder, empty = make(None), make(b"")
garbage = make(CANARY.encode() + b"\0\xff" * 2000)
a_certificate_stub = make(b"-----BEGIN CERTIFICATE-----\n")
weak_keys = make(f'{{"keys": [{{"kty": "oct", "k": "{CANARY}"}}]}}'.encode())
oct_only = make(f'{{"keys": [{{"kty": "oct", "k": "{CANARY * 3}"}}]}}'.encode())


def below_a_file(folder: Path) -> Path:
    return empty(folder) / "below"


WRONG_FILES = [
    *(("SESSION_KEYS_FILE", make) for make in (missing, a_folder, empty, garbage)),
    *(("SESSION_KEYS_FILE", make) for make in (weak_keys, oct_only)),
    *(("AUTHING_CA_FILE", make) for make in (missing, a_folder, empty, garbage)),
    ("AUTHING_CA_FILE", a_certificate_stub),
    *(("STORE_CA_FILE", make) for make in (missing, garbage, a_certificate_stub)),
    *(("STORE_URL", make) for make in (a_folder, garbage, below_a_file)),
]


def assert_refused(code: int, err: str, name: str, says: str = "") -> None:
    assert code == 2, err
    assert err.count("\n") == 1, err
    assert err.startswith(f"ticketgate: {name}: "), err
    assert says in err
    assert CANARY[:12].lower() not in err.lower()


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize(("name", "value", "says"), WRONG_VALUES)
def test_a_wrong_value_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    response = shell("serve")
    assert_refused(response.code, response.err, name, says)
    assert response.out == ""


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize(("name", "make"), WRONG_FILES)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    shell: Shell,
    name: str,
    make: Callable[[Path], Path],
) -> None:
    path = make(folder)
    monkeypatch.setenv(name, f"sqlite:///{path}" if name == "STORE_URL" else str(path))
    if name == "STORE_CA_FILE":
        monkeypatch.setenv("STORE_URL", "rediss://redis.acme.test")
    response = shell("serve")
    assert_refused(response.code, response.err, name, str(path))


def test_every_required_setting_that_is_missing_is_named_with_the_command_that_asks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    for name in REQUIRED:
        monkeypatch.delenv(name)
    response = shell("serve")
    assert_refused(response.code, response.err, REQUIRED[0])
    for name in REQUIRED[1:]:
        assert f"; {name}: is required" in response.err
    advice = "; `python -m app init` asks for them and writes .env\n"
    assert response.err.endswith(advice)
    assert response.out == ""
    assert shell("check").out.endswith(advice)
    (folder / ".env").touch()  # init does not overwrite it
    assert "init" not in shell("serve").err


@pytest.mark.usefixtures("taken_port")
def test_a_name_that_is_probably_a_misspelled_setting_is_one_warning(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_ACCES_TTL", CANARY)
    response = shell("serve")
    (warning, _store_created) = map(json.loads, response.out.splitlines())
    assert (warning["level"], warning["event"]) == ("warning", "setting_unknown")
    assert (warning["setting"], warning["nearest"]) == ("SESSION_ACCES_TTL", "SESSION_ACCESS_TTL")
    assert CANARY not in response.out


@pytest.mark.usefixtures("taken_port")
def test_files_of_secrets_that_every_user_can_read_are_warnings(folder: Path, shell: Shell) -> None:
    (folder / ".env").write_text("LOG_LEVEL=warning\n")
    (folder / "keys.json").chmod(0o644)
    (folder / ".env").chmod(0o644)
    warnings = [json.loads(line) for line in shell("serve").out.splitlines()]
    assert [(each["event"], each["setting"], each["reason"]) for each in warnings] == [
        ("setting_unsafe", "SESSION_KEYS_FILE", "readable"),
        ("setting_unsafe", ".env", "readable"),
    ]
    assert {each["level"] for each in warnings} == {"warning"}


def test_a_second_server_on_the_same_store_is_refused(folder: Path, shell: Shell) -> None:
    with open_sqlite_store(folder / "sessions.db"):
        response = shell("serve")
    assert_refused(response.code, response.err, "STORE_URL", "in use by another process")


@pytest.mark.parametrize(
    ("host", "says"),
    # Brackets belong to URLs; no name server needs to be asked to know that.
    [("192.0.2.1", ""), ("[::1]", "is not an address"), ("a..b", "is not an address")],
)
def test_an_address_that_is_not_of_this_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, host: str, says: str
) -> None:
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setenv("HOST", host)
    response = shell("serve")
    assert_refused(response.code, response.err, "HOST", says)


@pytest.mark.usefixtures("taken_port")
def test_a_server_whose_port_is_taken_exits_with_one_line(folder: Path) -> None:
    """The refusal as an operator sees it: a whole process, with its exit code."""
    command = [sys.executable, "-m", "app", "serve"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    refused = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert_refused(refused.returncode, refused.stderr, "PORT", "in use")
