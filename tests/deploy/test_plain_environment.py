"""The commands of deploy/README.md for a machine without containers, run as they stand."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.commands.environment import minimal, without_settings
from tests.support.processes import ROOT

pytestmark = pytest.mark.long
_PORT = re.compile(r'"event": ?"serving".*"port": ?(\d+)')


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like /opt/ticketgate, with the environment that the page makes."""
    folder = tmp_path_factory.mktemp("opt")
    for name in ("app", "requirements"):
        shutil.copytree(ROOT / name, folder / name)
    page = (ROOT / "deploy/README.md").read_text("utf-8").replace("\\\n", "")
    commands = re.findall(r"^sudo (python3 -m (?:venv|pip) .+)$", page, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        here = command.replace("/opt/ticketgate", str(folder)).replace("python3", sys.executable, 1)
        done = subprocess.run(here.split(), capture_output=True, text=True, check=False)
        if "from versions: none" in done.stderr:
            pytest.skip("there is no package index")
        assert done.returncode == 0, done.stderr
    return folder


def test_the_environment_has_the_packages_of_production_only(installed: Path) -> None:
    script = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    python = installed / ".venv/bin/python"
    found = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    lock = (installed / "requirements/runtime.txt").read_text("utf-8")

    names = {re.sub(r"[-_.]+", "-", name).lower() for name in found.stdout.split()}
    assert names <= set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    assert not {"pip", "pytest"} & names


def test_the_service_starts_from_its_folder(installed: Path, tmp_path: Path) -> None:
    environment = {**without_settings(), **minimal(tmp_path), "PORT": "0", "DRAIN_DELAY": "0"}
    command = [str(installed / ".venv/bin/python"), "-m", "app", "serve"]
    with subprocess.Popen(
        command, cwd=installed, env=environment, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        port = next(found[1] for line in service.stdout if (found := _PORT.search(line)))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            assert json.load(answer)["status"] == "ready"
        service.terminate()
        assert service.wait(30) == 0
