"""Other processes of the machine see no secret of a running service."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.environment import POOL_SECRET
from tests.e2e.conftest import Serve
from tests.support.leaks import found
from tests.support.processes import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SERVICE_KEY = "made-up-service-key-27182818284590"
PR_GET_DUMPABLE = 3


def core_limit(pid: int) -> list[str]:
    """The soft and the hard limit on the size of a core dump."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    line = re.search(r"^Max core file size +(\S+) +(\S+)", limits, re.MULTILINE)
    assert line
    return list(line.groups())


def end_of(pid: int) -> int:
    """os.CLD_KILLED, or os.CLD_DUMPED if the kernel has written a core dump."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended
    return ended.si_code


def test_a_service_with_every_secret_shows_none_and_leaves_no_core(
    serve: Serve, settings: dict[str, str], tmp_path: Path
) -> None:
    settings |= {"SERVICE_API_KEYS": SERVICE_KEY, "AUTHING_TOKEN_SECRETS": POOL_SECRET}
    program = serve(**settings).program
    keys = json.loads((tmp_path / "keys.json").read_bytes())["keys"]
    secrets = {key["kty"]: key.get("d") or key["k"] for key in keys}
    secrets |= {"pool": POOL_SECRET, "service key": SERVICE_KEY}
    before = set(tmp_path.iterdir())

    assert "serve" in program.command_line
    assert found(secrets, program.command_line) == set()
    assert core_limit(program.pid) == ["0", "0"]
    program.send(signal.SIGABRT)
    assert end_of(program.pid) == os.CLD_KILLED
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("code", "dumpable", "ending"),
    [("", 1, os.CLD_DUMPED), ("disable_core_dumps()", 0, os.CLD_KILLED)],
    ids=["allowed", "disabled"],
)
def test_disabling_core_dumps_holds_for_core_patterns_that_pipe_too(
    tmp_path: Path, code: str, dumpable: int, ending: int
) -> None:
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if most != resource.RLIM_INFINITY:
        pytest.skip("the hard limit on core dumps is not unlimited")
    script = (
        "import ctypes, os, resource; from app.__main__ import disable_core_dumps\n"
        f"resource.setrlimit(resource.RLIMIT_CORE, ({most}, {most}))\n"
        f"{code}\n"
        f"print(ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}, 0, 0, 0, 0), flush=True)\n"
        "os.abort()"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert int(child.stdout.read()) == dumpable
        assert end_of(child.pid) == ending
