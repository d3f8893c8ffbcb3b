"""`keys`: the commands that create the key file and roll its keys over."""

import json
import string
from pathlib import Path

import pytest

from app.jose.jwk import thumbprint
from app.keyfile import read_keys
from tests.commands.conftest import Shell


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "keys.json"


def test_a_file_is_made_where_the_setting_says(shell: Shell, path: Path) -> None:
    path.unlink()
    answer = shell("keys", "new")
    ring = read_keys(path)
    assert answer.code == 0
    assert answer.lines == [
        f"{ring.signing_key.kid}  ES256  signs access tokens",
        f"{ring.current_secret_key.kid}  oct  binds refresh tokens",
    ]


def test_a_file_is_made_for_an_algorithm_where_the_option_says(shell: Shell, folder: Path) -> None:
    elsewhere = folder / "elsewhere" / "keys.json"
    answer = shell("keys", "--file", str(elsewhere), "new", "--alg", "EdDSA")
    assert answer.code == 0
    assert read_keys(elsewhere).signing_key.algorithm == "EdDSA"


@pytest.mark.parametrize("kind", ["ES256", "oct"])
def test_a_key_of_each_kind_rolls_over(shell: Shell, path: Path, kind: str) -> None:
    old = next(line for line in shell("keys", "list").lines if ("oct" in line) == (kind == "oct"))
    old_kid, new_kid = old.split()[0], ""
    for line in shell("keys", "add", "--alg", kind).lines:
        if line.split()[1:] == [kind] and line.split()[0] != old_kid:
            new_kid = line.split()[0]
    promoted = shell("keys", "promote", new_kid)
    retired = shell("keys", "retire", old_kid)
    assert [promoted.code, retired.code] == [0, 0]
    in_use = next(line for line in promoted.lines if line.startswith(new_kid))
    assert in_use.endswith(("signs access tokens", "binds refresh tokens"))
    assert old_kid in promoted.out
    assert old_kid not in retired.out
    ring = read_keys(path)
    assert new_kid in (ring.signing_key.kid, ring.current_secret_key.kid)


def test_no_output_shows_a_secret(shell: Shell, path: Path) -> None:
    shown = shell("keys", "list").out + shell("keys", "add").out
    shown += shell("keys", "add", "--alg", "oct").out
    for key in json.loads(path.read_bytes())["keys"]:
        assert (key.get("d") or key["k"]) not in shown


def test_a_key_whose_name_begins_with_a_dash_can_be_promoted_as_it_is_listed(
    shell: Shell, path: Path
) -> None:
    keys = json.loads(path.read_bytes())["keys"]
    candidates = (
        {"kty": "oct", "k": letter * 42 + end + "A"}
        for letter in string.ascii_letters
        for end in string.ascii_letters
    )
    dashing = next(key for key in candidates if thumbprint(key).startswith("-"))
    path.write_text(json.dumps({"keys": [*keys, dashing]}))
    answer = shell("keys", "promote", thumbprint(dashing))
    assert answer.code == 0, answer.err
    assert read_keys(path).current_secret_key.kid == thumbprint(dashing)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["new"], "exists already and is not overwritten"),
        (["promote", "nobody"], "there is no key nobody"),
        (["retire", "nobody"], "there is no key nobody"),
    ],
)
def test_a_step_that_cannot_be_done_is_refused_in_one_line(
    shell: Shell, path: Path, arguments: list[str], says: str
) -> None:
    before = path.read_bytes()
    answer = shell("keys", *arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith(f"ticketgate: SESSION_KEYS_FILE: {path}: ")
    assert answer.err.endswith(f"{says}\n")
    assert answer.err.count("\n") == 1
    assert path.read_bytes() == before


def test_a_file_that_is_not_there_cannot_be_rolled_over(shell: Shell, path: Path) -> None:
    path.unlink()
    answer = shell("keys", "add")
    assert answer.code == 2
    assert answer.err == f"ticketgate: SESSION_KEYS_FILE: {path}: No such file or directory\n"


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(shell: Shell, path: Path) -> None:
    answer = shell("keys", "--file", str(path / "keys.json"), "new")
    assert answer.code == 2
    assert answer.err.startswith("ticketgate: SESSION_KEYS_FILE: ")
    assert answer.err.count("\n") == 1


def test_one_has_to_say_which_file(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    monkeypatch.delenv("SESSION_KEYS_FILE")
    answer = shell("keys", "list")
    assert answer.code == 2
    assert answer.err == "ticketgate: SESSION_KEYS_FILE: is required (or give --file)\n"


@pytest.mark.parametrize("arguments", [[], ["keys"], ["keys", "new", "--alg", "oct"], ["dance"]])
def test_a_command_that_there_is_not_is_explained(shell: Shell, arguments: list[str]) -> None:
    answer = shell(*arguments)
    assert answer.code == 2
    assert "usage: python -m app" in answer.err
