"""What a newcomer copies from the README has to work, in both languages."""

import json
import re
import shutil
import subprocess

import pytest

from app.config import Settings
from tests.e2e.conftest import Serve
from tests.support.processes import ROOT

README = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text("utf-8")


def section(start: str, end: str) -> str:
    return README[README.index(start) : README.index(end)]


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)


TRY = shell_blocks(section("<!-- try -->", "<!-- /try -->"))[0]


def test_the_three_lines_to_try_print_a_real_session(serve: Serve) -> None:
    for program in ("sh", "curl", "sed", "tee"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    url = serve("sandbox").url

    lines = TRY.replace("http://127.0.0.1:8000", url)
    shell = subprocess.run(
        ["sh", "-eu", "-c", lines], capture_output=True, text=True, timeout=30, check=True
    )

    tokens, me = json.loads(shell.stderr), json.loads(shell.stdout)
    assert tokens["token_type"] == "Bearer"
    assert tokens["refresh_token"].startswith("rt_")
    assert me == tokens["user"]


def test_the_chinese_page_tells_the_same_lines_to_try() -> None:
    assert TRY in shell_blocks(CHINESE)


def test_the_table_of_settings_names_exactly_those_that_there_are() -> None:
    table = section("## Settings", "## Keys")
    first_cells = re.findall(r"^\| (.*?) \|", table, flags=re.MULTILINE)
    named = re.findall(r"`([A-Z_]+)`", " ".join(first_cells))

    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)
