"""Secret files that change while the service runs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.config import Settings, load_settings
from app.config.secret_files import SecretFiles
from tests.commands.environment import enter, minimal
from tests.support.fakes import RecordedEvents

OLD, NEW = ("c4nary-0f1e2d3c4b5a69788796a5b4c3d2e1f0", "made-up-next-secret-9f8e7d6c5b4a39281706")
SECRETS = ("AUTHING_USER_POOL_SECRET", "AUTHING_TOKEN_SECRETS", "SERVICE_API_KEYS")
Followed = Callable[[], SecretFiles]


@pytest.fixture
def events() -> RecordedEvents:
    return RecordedEvents()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with each secret in a file, which no other place gives."""
    enter(tmp_path, monkeypatch, **minimal(tmp_path))
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
        (secrets / name).write_text(OLD)
    return secrets


@pytest.fixture
def opened(folder: Path, events: RecordedEvents) -> Followed:
    def opened() -> SecretFiles:
        settings = load_settings(Settings, env_file=None, secrets_dir=folder)
        return SecretFiles(settings, events, folder)

    return opened


def _become_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def recorded(event: str, name: str) -> tuple[str, str, dict[str, str | int]]:
    return event, "", {"setting": name}


@pytest.mark.parametrize("name", SECRETS)
def test_a_changed_file_is_in_force_and_recorded_once(
    folder: Path, opened: Followed, events: RecordedEvents, name: str
) -> None:
    files = opened()
    in_force = files.of(name.lower())
    assert in_force() == (OLD,)
    (folder / name).write_text(f"{OLD},{NEW}\n")
    files.follow()
    files.follow()
    assert in_force() == (OLD, NEW)
    assert events.entries == [recorded("secret_reloaded", name)]
    assert [files.of(other.lower())() for other in SECRETS if other != name] == [(OLD,)] * 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.unlink(),
        lambda file: file.write_text(""),
        lambda file: file.write_text("short"),
        lambda file: file.write_text("change-me-please-0123456789abcdef"),
        lambda file: file.write_text(f"{NEW},"),
        lambda file: file.write_bytes(b"\xff" * 40),
        lambda file: (file.unlink(), file.mkdir()),
        _become_a_pipe,
        lambda file: file.write_text(NEW + " " * 70_000),
    ],
    ids=["gone", "empty", "short", "sample", "half", "binary", "folder", "pipe", "huge"],
)
@pytest.mark.parametrize("name", SECRETS)
def test_a_broken_file_keeps_its_secrets_and_holds_up_no_other_file(
    folder: Path,
    opened: Followed,
    events: RecordedEvents,
    name: str,
    spoil: Callable[[Path], object],
) -> None:
    files = opened()
    other = next(other for other in SECRETS if other != name)
    spoil(folder / name)
    (folder / other).write_text(NEW)
    files.follow()
    files.follow()
    assert (files.of(name.lower())(), files.of(other.lower())()) == ((OLD,), (NEW,))
    assert files.state == "reload_failed"
    assert sorted(events.entries) == sorted(
        [recorded("secret_reload_failed", name), recorded("secret_reloaded", other)]
    )


def test_a_file_that_is_repaired_ends_the_report(
    folder: Path, opened: Followed, events: RecordedEvents
) -> None:
    files = opened()
    for text, state in (("", "reload_failed"), (OLD, "ok"), ("", "reload_failed"), (NEW, "ok")):
        (folder / "SERVICE_API_KEYS").write_text(text)
        files.follow()
        assert files.state == state
    assert events.names == ["secret_reload_failed", "secret_reload_failed", "secret_reloaded"]


def test_a_file_that_the_environment_overrides_is_not_followed(
    folder: Path, opened: Followed, events: RecordedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHING_USER_POOL_SECRET", NEW)
    files = opened()
    for text in (f"{OLD},{NEW}", ""):
        (folder / "AUTHING_USER_POOL_SECRET").write_text(text)
        files.follow()
        assert files.of("authing_user_pool_secret")() == (NEW,)
    assert (files.state, events.entries) == ("ok", [])
