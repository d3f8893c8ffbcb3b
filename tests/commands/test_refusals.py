"""Wrong configurations: each is refused in one line that names the setting and shows no secret."""

import json
import os
import subprocess
import sys
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
    ({"AUTHING_USER_POOL_SECRET": f"{CANARY}-change-me"}, "is a sample value"),
    ({"AUTHING_BASE_URL": f"https://admin:{CANARY}@authing.acme.test"}, "must have no user"),
    ({"STORE_URL": f"postgres://:{CANARY}@db.acme.test"}, "must be sqlite:///relative/path"),
    ({"STORE_URL": "sqlite:///keys.json/below"}, "keys.json/below"),
    ({"SESSION_IDLE_TTL": "P31D"}, "must not be longer than SESSION_ABSOLUTE_TTL"),
    ({"HOST": "192.0.2.1", "PORT": "0"}, ""),
    # Brackets belong to URLs; no name server needs to be asked to know that.
    *(({"HOST": host, "PORT": "0"}, "is not an address") for host in ("[::1]", "a..b")),
]
"""Settings, of which the first is refused, and a text of the refusal."""
GARBAGE = CANARY.encode() + b"\0\xff" * 2000
CERTIFICATE_STUB = b"-----BEGIN CERTIFICATE-----\n"
WEAK_KEYS = f'{{"keys": [{{"kty": "oct", "k": "{CANARY}"}}]}}'.encode()
OCT_ONLY = f'{{"keys": [{{"kty": "oct", "k": "{CANARY * 3}"}}]}}'.encode()
MISSING, FOLDER = "missing", "a folder"
WRONG_FILES: list[tuple[str, bytes | str]] = [
    *(("SESSION_KEYS_FILE", each) for each in (MISSING, FOLDER, b"", GARBAGE, WEAK_KEYS, OCT_ONLY)),
    *(("AUTHING_CA_FILE", each) for each in (MISSING, FOLDER, b"", GARBAGE, CERTIFICATE_STUB)),
    *(("STORE_CA_FILE", each) for each in (MISSING, GARBAGE, CERTIFICATE_STUB)),
    *(("STORE_URL", each) for each in (FOLDER, GARBAGE)),
]
"""Settings and the contents of their files."""


def assert_refused(code: int, err: str, name: str, says: str = "") -> None:
    assert code == 2, err
    assert err.count("\n") == 1, err
    assert err.startswith(f"ticketgate: {name}: "), err
    assert says in err
    assert CANARY[:12].lower() not in err.lower()


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize(("settings", "says"), WRONG_VALUES)
def test_a_wrong_value_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, settings: dict[str, str], says: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    response = shell("serve")
    assert_refused(response.code, response.err, next(iter(settings)), says)
    assert CANARY not in response.out
    assert (response.out == "") is ("HOST" not in settings)  # the address is tried last


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize(("name", "content"), WRONG_FILES)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell, name: str, content: bytes | str
) -> None:
    path = folder / "file"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == FOLDER:
        path.mkdir()
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
def test_unknown_and_unsafe_settings_are_warnings_at_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    monkeypatch.setenv("SESSION_ACCES_TTL", CANARY)
    (folder / ".env").write_text("LOG_LEVEL=warning\n")
    for name in ("keys.json", ".env"):
        (folder / name).chmod(0o644)
    out = shell("serve").out
    warnings = [json.loads(line) for line in out.splitlines()]
    told = [
        (each["event"], each["setting"], each.get("nearest") or each.get("reason"))
        for each in warnings
    ]
    assert told == [
        ("setting_unknown", "SESSION_ACCES_TTL", "SESSION_ACCESS_TTL"),
        ("setting_unsafe", "SESSION_KEYS_FILE", "readable"),
        ("setting_unsafe", ".env", "readable"),
    ]
    assert {each["level"] for each in warnings} == {"warning"}
    assert CANARY not in out


def test_a_second_server_on_the_same_store_is_refused(folder: Path, shell: Shell) -> None:
    with open_sqlite_store(folder / "sessions.db"):
        response = shell("serve")
    assert_refused(response.code, response.err, "STORE_URL", "in use by another process")


@pytest.mark.usefixtures("taken_port")
def test_a_server_whose_port_is_taken_exits_with_one_line(folder: Path) -> None:
    """The refusal as an operator sees it: a whole process, with its exit code."""
    command = [sys.executable, "-m", "app", "serve"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    refused = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert_refused(refused.returncode, refused.stderr, "PORT", "in use")
