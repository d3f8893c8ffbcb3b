"""What other processes of the machine can see of a running service: no secret."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.environment import POOL_SECRET
from tests.e2e.conftest import Serve, Service
from tests.e2e.leaks import found
from tests.support.processes import ROOT, soon
from tests.support.valkey.servers import Server, standalone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SERVICE_KEY = "made-up-service-key-27182818284590"
REDIS_PASSWORD = "made-up-redis-password-1414213562"
PR_GET_DUMPABLE = 3
Start = Callable[[], Service]


def processes_of(service: Service) -> list[int]:
    """The service's processes: itself and those that it has started."""
    pid = service.program._process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("this system's /proc does not tell the children of a process")
    return [pid, *map(int, children.read_text().split())]


def core_limit(pid: int) -> list[str]:
    """The soft and the hard limit on the size of a core dump."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    line = re.search(r"^Max core file size +(\S+) +(\S+)", limits, re.MULTILINE)
    assert line
    return list(line.groups())


def end_of(process: subprocess.Popen[bytes]) -> int:
    """How it ended: os.CLD_KILLED, or os.CLD_DUMPED if the kernel has written its memory."""
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ended
    return ended.si_code


@pytest.fixture
def redis(valkey: Server, tmp_path: Path) -> Iterator[Server]:
    """A server of one's own, that wants a password. (The shared one tells that there are any.)"""
    with standalone(tmp_path / "valkey") as server:
        server.cli("CONFIG", "SET", "requirepass", REDIS_PASSWORD)
        yield server


@pytest.fixture
def start(serve: Serve, settings: dict[str, str], redis: Server) -> Start:
    """Starts the service with two workers and every secret that a setting can hold."""
    own = {"WORKERS": "2", "SERVICE_API_KEYS": SERVICE_KEY, "AUTHING_TOKEN_SECRETS": POOL_SECRET}

    def start() -> Service:
        address = redis.url.replace("redis://", f"redis://:{REDIS_PASSWORD}@")
        service = serve(**settings | own | {"STORE_URL": address})
        soon(lambda: sum(entry["event"] == "serving" for entry in service.logged()) == 2)
        return service

    return start


def test_no_process_of_the_service_has_a_secret_on_its_command_line(
    start: Start, tmp_path: Path
) -> None:
    processes = processes_of(start())
    keys = json.loads((tmp_path / "keys.json").read_bytes())["keys"]
    secrets = {key["kty"]: key.get("d") or key["k"] for key in keys}
    secrets |= {"pool": POOL_SECRET, "service key": SERVICE_KEY, "redis": REDIS_PASSWORD}

    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in processes]

    assert len(lines) == 3
    assert [found(secrets, line) for line in lines] == [set()] * 3


def test_no_process_of_the_service_may_dump_its_memory(start: Start) -> None:
    assert [core_limit(pid) for pid in processes_of(start())] == [["0", "0"]] * 3


def test_a_service_that_is_aborted_leaves_no_core(
    serve: Serve, settings: dict[str, str], tmp_path: Path
) -> None:
    service = serve(**settings)
    before = set(tmp_path.iterdir())

    service.program.send(signal.SIGABRT)

    assert end_of(service.program._process) == os.CLD_KILLED
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("forbidden", "dumpable", "ending"),
    [("", 1, os.CLD_DUMPED), ("hardening.disable_core_dumps()", 0, os.CLD_KILLED)],
    ids=["any program", "forbidden"],
)
def test_the_kernel_is_told_so_in_the_way_that_counts_for_pipes_too(
    tmp_path: Path, forbidden: str, dumpable: int, ending: int
) -> None:
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if most != resource.RLIM_INFINITY:
        pytest.skip("this machine lets no program dump its memory")
    script = (
        "import ctypes, os, resource; from app.server import hardening\n"
        f"resource.setrlimit(resource.RLIMIT_CORE, ({most}, {most}))\n"
        f"{forbidden}\n"
        f"print(ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}, 0, 0, 0, 0), flush=True)\n"
        "os.abort()"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert int(child.stdout.read()) == dumpable
        assert end_of(child) == ending
