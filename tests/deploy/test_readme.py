"""The commands and names in deploy/README.md exist."""

import re

import pytest

from app.__main__ import main
from app.config import Settings
from tests.deploy.conftest import time_to_finish


def test_every_named_setting_exists(readme: str) -> None:
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", readme))

    assert "AUTHING_USER_POOL_SECRET" in named
    assert named <= {name.upper() for name in Settings.model_fields}


def test_docker_waits_for_the_service_to_finish(readme: str) -> None:
    (given,) = map(int, re.findall(r"--stop-timeout (\d+)", readme))

    assert given > time_to_finish().total_seconds()


def test_every_command_for_the_image_exists(
    readme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = set(re.findall(r"\bticketgate (check|keys \w+)", readme))

    assert commands >= {"check", "keys new", "keys add"}
    for command in commands:
        with pytest.raises(SystemExit, match=r"^0$"):
            main([*command.split(), "--help"])
