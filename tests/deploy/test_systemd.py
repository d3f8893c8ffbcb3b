"""The template unit for several processes on one machine, and the page that installs it."""

import grp
import os
import pwd
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from app.config import SECRETS_DIR, Settings
from tests.deploy.conftest import read, replaced, time_to_finish
from tests.support.processes import ROOT
from tests.support.programs import run

UNIT = read("systemd/ticketgate@.service")
MAX_EXPOSURE = 2.5
"""systemd's score from 0 (closed) to 10 (open). A plain unit has 9.6."""

Options = Mapping[str, Sequence[str]]


@pytest.fixture(scope="module")
def service() -> Options:
    """The values of each option of [Service], in order."""
    section = UNIT.split("[Service]\n")[1].split("\n[")[0]
    options: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        options.setdefault(name, []).append(value)
    return options


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit of one instance, with paths and users of this machine."""
    me = pwd.getpwuid(os.getuid())
    here = {
        "/opt/ticketgate/.venv/bin/python": sys.executable,
        "WorkingDirectory=/opt/ticketgate": f"WorkingDirectory={ROOT}",
        "User=ticketgate": f"User={me.pw_name}",
        "Group=ticketgate": f"Group={grp.getgrgid(me.pw_gid).gr_name}",
        "%i": "8001",
    }
    file = tmp_path / "ticketgate-8001.service"
    file.write_text(replaced(UNIT, here))
    return file


def test_an_instance_serves_on_the_port_of_its_name(service: Options) -> None:
    (environment,) = service["Environment"]
    variables = dict(pair.split("=") for pair in environment.split())

    assert service["ExecStart"] == ["/opt/ticketgate/.venv/bin/python -m app serve"]
    assert (variables["HOST"], variables["PORT"]) == ("127.0.0.1", "%i")
    assert variables.keys() <= {name.upper() for name in Settings.model_fields}


def test_secrets_are_mounted_where_the_service_reads_them(service: Options) -> None:
    assert service["BindReadOnlyPaths"] == [f"/etc/ticketgate/secrets:{SECRETS_DIR}"]


def test_the_unit_gives_the_service_time_to_finish(service: Options) -> None:
    assert int(service["TimeoutStopSec"][0]) > time_to_finish().total_seconds()


def test_a_wrong_configuration_is_not_restarted(service: Options) -> None:
    assert service["Restart"] == ["on-failure"]
    assert service["RestartPreventExitStatus"] == ["2"]


def test_systemd_accepts_the_unit(unit: Path) -> None:
    checked = run("systemd-analyze", "verify", "--man=no", unit)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_systemd_finds_the_unit_well_confined(unit: Path) -> None:
    checked = run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit)
    if "unrecognized option" in checked.stderr:
        pytest.skip("systemd-analyze is older than version 250")

    score = re.search(r"exposure level for .+: ([\d.]+)", checked.stdout)
    assert score, checked.stderr
    assert float(score[1]) <= MAX_EXPOSURE


def test_the_page_names_instances_and_trusts_their_proxy(readme: str) -> None:
    section = readme.split("## One machine, without containers")[1].partition("\n## ")[0]

    instances = set(re.findall(r"ticketgate@(\d+)", section))
    assert instances
    assert instances == set(re.findall(r"server 127\.0\.0\.1:(\d+);", section))
    assert "TRUSTED_PROXIES=127.0.0.1" in section
