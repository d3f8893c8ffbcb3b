"""The fleet of `deploy/compose.yaml` as plain processes: its Valkey with its user, two services,
and its nginx before them. Its files are taken as they are; only the addresses are this machine's.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import hiredis
import httpx

from tests.commands.environment import without_settings
from tests.deploy.dockerfile import ROOT
from tests.deploy.nginx import Nginx, replaced
from tests.support.processes import Program, soon
from tests.support.valkey import ports
from tests.support.valkey.process import Server

PASSWORD = "made-up-password-of-valkey-0123456789"


class Instance:
    """One service that can be killed and started again on its port."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        folder.mkdir()
        self._folder = folder
        self._reserved = ports.reserve()
        self.port = ports.number(self._reserved)
        self._environment = {**without_settings(), **settings, "PORT": str(self.port)}

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.program.close()
        self._reserved.close()

    def restart_if_down(self) -> None:
        """Start it if it does not run."""
        if not self.program.runs_for(0):
            self.program.close()
            self._start()

    def _start(self) -> None:
        self.program = Program(self._folder, "-m", "app", "serve", environment=self._environment)
        try:
            self.program.line_with('"serving"')
            soon(self._is_ready)
        except BaseException:
            self.program.close()
            raise

    def _is_ready(self) -> bool:
        return httpx.get(f"http://127.0.0.1:{self.port}/readyz", trust_env=False).is_success


@dataclass(frozen=True)
class Gateway:
    """Two services with nginx in front of them, running."""

    nginx: Nginx
    instances: tuple[Instance, Instance]


@contextmanager
def gateway(folder: Path, settings: Mapping[str, str]) -> Iterator[Gateway]:
    """Start two services with these settings, and nginx in front of them."""
    folder.mkdir()
    with ExitStack() as stack:
        first = stack.enter_context(Instance(folder / "a", settings))
        second = stack.enter_context(Instance(folder / "b", settings))
        nginx = stack.enter_context(Nginx(folder / "nginx", (first.port, second.port)))
        yield Gateway(nginx, (first, second))


@contextmanager
def valkey(folder: Path, readme: str) -> Iterator[str]:
    """`deploy/valkey/valkey.conf` with the users that the page makes; gives the STORE_URL."""
    folder.mkdir()
    (folder / "users.acl").write_text(_users(readme))
    pieces = {"dir /data": f"dir {folder}", "/run/acl/": f"{folder}/"}
    configuration = (ROOT / "deploy/valkey/valkey.conf").read_text(encoding="utf-8")
    file = folder / "valkey.conf"
    file.write_text(replaced(configuration, pieces))
    # What survives is tested elsewhere; here many tests may share one disk.
    here = ("--bind", "127.0.0.1", "--appendfsync", "no")
    with Server(folder, str(file), *here) as server:
        server.launch()
        soon(lambda: _pings(server))
        yield f"redis://ticketgate:{PASSWORD}@127.0.0.1:{server.port}"


def _users(readme: str) -> str:
    (line,) = re.findall(r"printf '(user default [^']+)'", readme)
    return str(line).replace("\\n", "\n") % sha256(PASSWORD.encode()).hexdigest()


def _pings(server: Server) -> bool:
    assert server.running, (server.folder / "server.log").read_text()
    try:
        return bool(server.cli("PING") == "PONG")
    except (OSError, hiredis.ReplyError):
        return False
