"""The sandbox in a container: it starts, is locked up, and keeps what it is told to keep."""

from pathlib import Path
from typing import Any

import pytest

from app.commands.sandbox import read_settings
from app.config import Settings
from app.store_url import SqliteUrl
from tests.commands.environment import POOL_SECRET, enter
from tests.deploy.dockerfile import ROOT, Dockerfile


@pytest.fixture
def options(compose: dict[str, Any]) -> dict[str, str]:
    """The options of its command."""
    command, *rest = compose["command"]
    assert command == "sandbox"
    return dict(zip(rest[::2], rest[1::2], strict=True))


@pytest.fixture
def settings(
    options: dict[str, str], dockerfile: Dockerfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """What the sandbox makes of its options, in the environment of the image."""
    enter(tmp_path, monkeypatch, **dockerfile.variables)
    folder = Path(options["--folder"])
    return read_settings(options["--host"], folder, pool_secret=POOL_SECRET)


def test_compose_builds_this_repository(compose: dict[str, Any]) -> None:
    assert (ROOT / "deploy/sandbox" / compose["build"]).resolve() == ROOT


def test_the_sandbox_writes_into_its_volume(
    compose: dict[str, Any], settings: Settings, dockerfile: Dockerfile
) -> None:
    folder = dockerfile.last("VOLUME").text

    assert [mount.split(":")[1] for mount in compose["volumes"]] == [folder]
    assert isinstance(settings.store_url, SqliteUrl)
    assert settings.store_url.path.is_relative_to(folder)
    assert settings.session_keys_file.is_relative_to(folder)


def test_the_sandbox_is_reachable_from_this_machine_only(
    compose: dict[str, Any], settings: Settings
) -> None:
    assert compose["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    assert settings.host == "0.0.0.0"  # noqa: S104  # the port of a container is forwarded to it


def test_the_sandbox_is_confined_like_production(compose: dict[str, Any]) -> None:
    assert compose["read_only"] is True
    assert [mount.split(":")[0] for mount in compose["tmpfs"]] == ["/tmp"]  # noqa: S108  # its own
    assert compose["cap_drop"] == ["ALL"]
    assert compose["security_opt"] == ["no-new-privileges:true"]
    assert compose["mem_limit"]
    assert not {"privileged", "cap_add", "user", "network_mode", "pid"} & compose.keys()


def test_the_sandbox_has_time_to_finish(compose: dict[str, Any], settings: Settings) -> None:
    needed = settings.drain_delay + settings.shutdown_timeout

    assert int(compose["stop_grace_period"].removesuffix("s")) > needed.total_seconds()
