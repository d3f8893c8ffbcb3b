"""The first deployment of docs/operations.md, taken literally, against the fake Authing."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.commands.environment import without_settings
from tests.deploy.conftest import replaced
from tests.support.processes import ROOT, sandbox_process
from tests.support.programs import program

pytestmark = pytest.mark.long
SECTION = (ROOT / "docs/operations.md").read_text("utf-8").split("## First deployment")[1]
SETTINGS, CHECK, EXCHANGE, _, REHEARSAL, _, SIGN_IN, *_ = re.findall(
    r"```sh\n(.*?)```", SECTION, re.DOTALL
)
*_, POOL_ID, SECRET, _PORT = REHEARSAL.split()
TICKET = SIGN_IN.splitlines()[0] + '; echo "$ticket"'

Shell: TypeAlias = Callable[..., str]


@pytest.fixture
def authing(tmp_path: Path) -> Iterator[str]:
    """The address of a fake Authing, started with the values of the page."""
    (tmp_path / "authing").mkdir()
    with sandbox_process(tmp_path / "authing", POOL_ID, SECRET) as address:
        yield address


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run commands of the page in a folder that looks like a clone of the repository."""
    program("curl")
    (tmp_path / "app").symlink_to(ROOT / "app")
    (tmp_path / ".venv").symlink_to(sys.prefix)

    def shell(commands: str, replacing: Mapping[str, str], typed: str = "") -> str:
        done = subprocess.run(
            ["bash", "-eu", "-c", replaced(commands, replacing)],
            cwd=tmp_path,
            env=without_settings(),
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return shell


def test_the_first_deployment_works_as_it_is_written(
    tmp_path: Path, authing: str, shell: Shell
) -> None:
    here = f"{authing}\nAUTHING_BASE_URL={authing}"
    shell(SETTINGS, {"SECRET=…": f"SECRET={SECRET}", "https://api.authing.cn": here})

    checked = shell(CHECK, {})
    assert f"```text\n{checked}```" in SECTION

    ticket = shell(TICKET, {"$AUTHING_BASE_URL": authing})
    shell(EXCHANGE, {"https://oauth.authing.cn": authing}, typed=f"{ticket}{SECRET}\n")
    assert {(tmp_path / name).stat().st_mode & 0o077 for name in (".env", "token")} == {0}

    verified = shell(CHECK, {"check": "check --token-file token"}).splitlines()[-1]
    assert f"| `{verified.removeprefix('signature').strip()}` |" in SECTION
