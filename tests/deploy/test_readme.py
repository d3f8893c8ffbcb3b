"""The commands and names in deploy/README.md exist."""

import re
from typing import Any

import pytest

from app.__main__ import main
from app.config import Settings


def test_every_named_setting_exists(readme: str) -> None:
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", readme))

    assert "AUTHING_USER_POOL_SECRET" in named
    assert named <= {name.upper() for name in Settings.model_fields}


def test_the_page_creates_the_secrets_that_the_pod_mounts(readme: str, pod: dict[str, Any]) -> None:
    made = set(re.findall(r"create secret generic (\S+)", readme))

    assert made == {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}


def test_docker_waits_for_the_service_to_finish(readme: str) -> None:
    (given,) = map(int, re.findall(r"--stop-timeout (\d+)", readme))
    defaults = [Settings.model_fields[name].default for name in ("drain_delay", "shutdown_timeout")]

    assert given > sum(default.total_seconds() for default in defaults)


def test_every_command_for_the_image_exists(
    readme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = set(re.findall(r"\bticketgate (check|keys \w+)", readme))

    assert commands >= {"check", "keys new", "keys add"}
    for command in commands:
        with pytest.raises(SystemExit, match=r"^0$"):
            main([*command.split(), "--help"])
