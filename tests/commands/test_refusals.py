"""Wrong configurations: each is refused in one line that names the setting and shows no secret."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.stores.sqlite import open_sqlite_store
from tests.commands.conftest import Shell
from tests.commands.environment import without_settings

ROOT = Path(__file__).parents[2]
CANARY = "c4nary0f1e2d3c4b5a"  # stands in whatever an operator might have meant to keep secret
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
    answer = shell("serve")
    assert_refused(answer.code, answer.err, name, says)
    assert answer.out == ""


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
    answer = shell("serve")
    assert_refused(answer.code, answer.err, name, str(path))
    assert answer.out == ""


# --- the same, as an operator sees it ---


def serve(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = without_settings() | {"PYTHONPATH": str(ROOT)} | settings
    command = [sys.executable, "-m", "app", "serve"]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_server_without_settings_names_all_that_are_required(folder: Path) -> None:
    refused = serve(folder)
    assert_refused(refused.returncode, refused.stderr, "AUTHING_USER_POOL_ID")
    for name in ("AUTHING_USER_POOL_SECRET", "SESSION_ISSUER", "SESSION_KEYS_FILE"):
        assert f"; {name}: is required" in refused.stderr
    assert refused.stdout == ""


def test_a_second_server_on_the_same_store_is_refused(folder: Path) -> None:
    with open_sqlite_store(folder / "sessions.db"):
        refused = serve(folder, **os.environ)
    assert_refused(refused.returncode, refused.stderr, "STORE_URL", "in use by another process")


@pytest.mark.usefixtures("taken_port")
def test_a_server_whose_port_is_taken_is_refused(folder: Path) -> None:
    refused = serve(folder, **os.environ)
    assert_refused(refused.returncode, refused.stderr, "PORT", "in use")
    assert refused.stdout == ""


def test_a_server_whose_address_is_not_of_this_machine_is_refused(folder: Path) -> None:
    refused = serve(folder, **os.environ, PORT="0", HOST="192.0.2.1")
    assert_refused(refused.returncode, refused.stderr, "HOST")
    assert refused.stdout == ""


def test_a_server_whose_address_is_none_is_refused(folder: Path) -> None:
    # Brackets belong to URLs; no name server needs to be asked to know that.
    refused = serve(folder, **os.environ, PORT="0", HOST="[::1]")
    assert_refused(refused.returncode, refused.stderr, "HOST", "is not an address")
    assert refused.stdout == ""
