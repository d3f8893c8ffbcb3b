"""The sandbox in a container: it starts, is locked up, and keeps what it is told to keep."""

from typing import Any

import pytest

from app.commands.sandbox import SandboxSettings
from app.config import Settings
from app.store_url import SqliteUrl
from tests.commands.environment import POOL_ID
from tests.deploy.conftest import Load
from tests.deploy.dockerfile import ROOT, Dockerfile


@pytest.fixture
def settings(compose: dict[str, Any], load: Load) -> Settings:
    """What the sandbox makes of the variables; the pool is its own."""
    return load(SandboxSettings, {**compose["environment"], "AUTHING_USER_POOL_ID": POOL_ID})


def test_compose_builds_this_repository_and_runs_the_sandbox(compose: dict[str, Any]) -> None:
    assert (ROOT / "deploy/sandbox" / compose["build"]).resolve() == ROOT
    assert compose["command"] == ["sandbox"]


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
