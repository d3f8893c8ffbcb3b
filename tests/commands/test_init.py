"""`init`: from four answers to a configuration that works."""

import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.commands.conftest import Shell
from tests.commands.environment import ISSUER, POOL_ID, POOL_SECRET, without_settings
from tests.commands.test_check import authing
from tests.support.keys import read_keys
from tests.support.terminal import answered

POOL = ("id of the user pool", f"{POOL_ID}\n")
SECRET = ("secret of the user pool", f"{POOL_SECRET}\n")
ADDRESS = ("your public https address", f"{ISSUER}\n")
STORE = ("store: redis", "\n")
ANSWERS = (POOL, SECRET, ADDRESS, STORE)
END = "\x04"
"""Ctrl-D. Ctrl-C would meet a race between Python's signal handler and its read."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh clone, without settings."""
    clone = tmp_path / "clone"
    clone.mkdir()
    monkeypatch.chdir(clone)
    return clone


def init(folder: Path, answers: Iterable[tuple[str, str]], **settings: str) -> tuple[int, str]:
    environment = without_settings() | settings
    return answered(folder, "-m", "app", "init", environment=environment, answers=answers)


def test_four_answers_make_a_configuration_that_passes_the_check(folder: Path) -> None:
    with authing() as (address, _):
        code, shown = init(folder, ANSWERS, AUTHING_BASE_URL=address)
    assert code == 0, shown
    assert POOL_SECRET not in shown
    assert "settings   ok\n" in shown
    assert shown.rstrip().endswith("-m app serve")
    assert dotenv_values(folder / ".env") == {
        "AUTHING_USER_POOL_ID": POOL_ID,
        "AUTHING_USER_POOL_SECRET": POOL_SECRET,
        "SESSION_ISSUER": ISSUER,
        "STORE_URL": "sqlite:///data/sessions.db",
        "SESSION_KEYS_FILE": "keys/keys.json",
    }
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert read_keys(folder / "keys" / "keys.json").signing_key.algorithm == "ES256"


def test_a_wrong_answer_is_asked_for_again(folder: Path) -> None:
    secret = "0a1b '#\" $x\\ \\n 2c3d4e5f"
    secrets = [(SECRET[0], "short\n"), (SECRET[0], f"{secret}\n")]
    typed = (POOL, *secrets, (ADDRESS[0], "login.acme.test\n"), ADDRESS)
    with authing() as (base_url, _):
        code, shown = init(folder, (*typed, STORE), AUTHING_BASE_URL=base_url)
    assert code == 0, shown
    assert "short" not in shown
    assert "AUTHING_USER_POOL_SECRET: must be at least 16 bytes long\n" in shown
    assert "SESSION_ISSUER: must be an https address (http only for loopback)\n" in shown
    assert dotenv_values(folder / ".env")["AUTHING_USER_POOL_SECRET"] == secret


def test_a_failed_check_is_the_result(folder: Path) -> None:
    code, shown = init(folder, ANSWERS, AUTHING_BASE_URL="http://127.0.0.1:1")
    assert code == 1
    assert shown.rstrip().endswith("-m app check")


def test_a_key_file_that_is_there_is_kept(folder: Path) -> None:
    (folder / "keys").mkdir()
    (folder / "keys" / "keys.json").write_text("{}")
    code, shown = init(folder, ANSWERS)
    assert (code, (folder / "keys" / "keys.json").read_text()) == (1, "{}")
    assert "keys       FAIL" in shown


@pytest.mark.parametrize("answers", [[POOL, (SECRET[0], END)], [(POOL[0], END)]])
def test_nothing_is_written_before_the_last_answer(
    folder: Path, answers: list[tuple[str, str]]
) -> None:
    code, shown = init(folder, answers)
    assert code == 2
    assert shown.endswith("ticketgate: nothing was written\n")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_an_env_file_is_never_overwritten(
    folder: Path, shell: Shell, make: Callable[[Path], None]
) -> None:
    make(folder / ".env")
    response = shell("init")
    assert response.code == 2
    assert response.err.startswith("ticketgate: .env: is there already")
    assert [path.name for path in folder.iterdir()] == [".env"]


def test_an_env_file_that_comes_between_the_questions_is_kept(folder: Path) -> None:
    def answers() -> Iterator[tuple[str, str]]:
        yield from ANSWERS[:-1]
        (folder / ".env").write_text("mine")
        yield ANSWERS[-1]

    code, shown = init(folder, answers())
    assert (code, (folder / ".env").read_text()) == (2, "mine")
    assert "ticketgate: .env: File exists" in shown


def test_without_a_terminal_the_places_of_the_settings_are_told(folder: Path, shell: Shell) -> None:
    response = shell("init")
    assert response.code == 2
    for name in ("AUTHING_USER_POOL_ID", "AUTHING_USER_POOL_SECRET", "SESSION_ISSUER", "STORE_URL"):
        assert f"\n  {name}" in response.err
    assert "keys new --file keys/keys.json" in response.err
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(folder: Path) -> None:
    (folder / "keys").touch()
    code, shown = init(folder, ANSWERS)
    assert code == 2
    assert "ticketgate: SESSION_KEYS_FILE: keys/keys.json" in shown
    assert not (folder / ".env").exists()
