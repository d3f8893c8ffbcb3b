"""`keys`: the commands that create the key file and roll its keys over."""

import json
import re
import string
import time
from pathlib import Path

import pytest

from app import __version__, keyfile
from app.commands import keys
from app.jose.jwk import thumbprint
from tests.commands.conftest import Shell
from tests.support.keys import read_keys


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "keys.json"


def test_a_file_is_made_where_the_setting_says(shell: Shell, path: Path) -> None:
    path.unlink()
    response = shell("keys", "new")
    ring = read_keys(path)
    assert response.code == 0
    assert [line.split("  ")[:2] for line in response.lines] == [
        [ring.signing_key.kid, "ES256"],
        [ring.current_secret_key.kid, "oct"],
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        "new --file elsewhere/keys.json --alg EdDSA",
        "new --alg=EdDSA --file=elsewhere/keys.json",
        "--file elsewhere/keys.json new --alg EdDSA",
        "--alg EdDSA --file elsewhere/keys.json new",
    ],
)
def test_options_stand_before_or_after_the_action(shell: Shell, arguments: str) -> None:
    response = shell("keys", *arguments.split())
    assert response.code == 0, response.err
    assert read_keys(Path("elsewhere/keys.json")).signing_key.algorithm == "EdDSA"


def test_the_path_may_stand_in_env_file_or_a_secret_file(
    monkeypatch: pytest.MonkeyPatch, folder: Path, shell: Shell, path: Path
) -> None:
    monkeypatch.delenv("SESSION_KEYS_FILE")
    (folder / "SESSION_KEYS_FILE").write_text(f"{path}\n")
    assert keys.settings(None, secrets_dir=folder).session_keys_file == path
    (folder / ".env").write_text("SESSION_KEYS_FILE=data/keys.json\nUNKNOWN=1\nSESSION_ISSUER=\n")
    assert shell("keys", "new").code == 0
    assert (folder / "data" / "keys.json").is_file()


def test_a_key_whose_tokens_may_live_is_retired_with_force_only(shell: Shell, path: Path) -> None:
    old = read_keys(path).signing_key.kid
    shell("keys", "add")
    shell("keys", "promote", read_keys(path).signing_keys[1].kid)
    refused = shell("keys", "retire", old)
    assert refused.code == 2
    assert re.search(r"until 20\d\d-.*Z; --force retires it now\n$", refused.err)
    assert shell("keys", "--force", "retire", old).code == 0
    assert [key.kid for key in read_keys(path).signing_keys] != [old]


def test_a_shorter_life_of_tokens_lets_a_key_retire_earlier(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, path: Path
) -> None:
    old = read_keys(path).signing_key.kid
    keyfile.promote(path, keyfile.add(path, "ES256"), clock=lambda: time.time() - 1000)
    monkeypatch.setenv("SESSION_ACCESS_TTL", "3600")
    assert shell("keys", "retire", old).code == 2
    monkeypatch.setenv("SESSION_ACCESS_TTL", "600")
    assert shell("keys", "retire", old).code == 0


def test_no_output_shows_a_secret(shell: Shell, path: Path) -> None:
    shown = shell("keys", "list").out + shell("keys", "add").out
    shown += shell("keys", "add", "--alg", "oct").out
    for key in json.loads(path.read_bytes())["keys"]:
        assert (key.get("d") or key["k"]) not in shown


def test_a_key_whose_name_begins_with_a_dash_can_be_promoted_as_it_is_listed(
    shell: Shell, path: Path
) -> None:
    members = json.loads(path.read_bytes())["keys"]
    candidates = (
        {"kty": "oct", "k": letter * 42 + end + "A"}
        for letter in string.ascii_letters
        for end in string.ascii_letters
    )
    dashing = next(key for key in candidates if thumbprint(key).startswith("-"))
    path.write_text(json.dumps({"keys": [*members, dashing]}))
    response = shell("keys", "promote", thumbprint(dashing))
    assert response.code == 0, response.err
    assert read_keys(path).current_secret_key.kid == thumbprint(dashing)
    response = shell("keys", "retire", "--file", str(path), thumbprint(dashing))
    assert response.err.endswith("is in use; promote another key first\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["new"], "exists already and is not overwritten"),
        (["new", "--alg", "oct"], "new makes a signing key; oct is for add"),
        (["promote", "unknown"], "there is no key unknown"),
        (["retire", "unknown"], "there is no key unknown"),
        (["--file", "missing.json", "add"], "missing.json: No such file or directory"),
        (["--file", "keys.json/keys.json", "new"], "keys.json: File exists"),
    ],
)
def test_a_step_that_cannot_be_done_is_refused_in_one_line(
    shell: Shell, path: Path, arguments: list[str], says: str
) -> None:
    before = path.read_bytes()
    response = shell("keys", *arguments)
    assert response.code == 2
    assert response.out == ""
    assert response.err.startswith("ticketgate: SESSION_KEYS_FILE: ")
    assert response.err.endswith(f"{says}\n")
    assert response.err.count("\n") == 1
    assert path.read_bytes() == before


def test_one_has_to_say_which_file_but_not_for_service_keys_of_32_random_bytes(
    monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    monkeypatch.delenv("SESSION_KEYS_FILE")
    response = shell("keys", "list")
    assert response.code == 2
    assert response.err == "ticketgate: SESSION_KEYS_FILE: is required (or give --file)\n"
    made = {shell("keys", "service").out.strip() for _ in range(2)}
    assert [len(bytes.fromhex(key)) for key in made] == [32, 32]


@pytest.mark.parametrize("arguments", [[], ["keys"], ["keys", "list", "--loud"], ["dance"]])
def test_a_command_that_there_is_not_is_explained(shell: Shell, arguments: list[str]) -> None:
    response = shell(*arguments)
    assert response.code == 2
    assert "usage: python -m app" in response.err


def test_the_version_is_printed(shell: Shell) -> None:
    response = shell("--version")
    assert (response.code, response.out) == (0, f"ticketgate {__version__}\n")
