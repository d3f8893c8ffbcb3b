"""The fleet of `deploy/compose.yaml` as plain processes: its Valkey with its user, two services,
and its nginx before them. Its files are taken as they are; only the addresses are this machine's.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import hiredis

from tests.deploy.dockerfile import ROOT
from tests.deploy.nginx import Nginx, replaced
from tests.e2e.conftest import Service
from tests.support.processes import soon
from tests.support.valkey import ports
from tests.support.valkey.process import Server

PASSWORD = "made-up-password-of-valkey-0123456789"


class Instance(Service):
    """One service that can be started again on its port."""

    def __init__(self, folder: Path, settings: Mapping[str, str], stack: ExitStack) -> None:
        folder.mkdir()
        self.port = ports.number(stack.enter_context(ports.reserve()))
        super().__init__(folder, "serve", {**settings, "PORT": str(self.port)}, stack)
        self.restart()

    def restart(self) -> None:
        self.start()
        soon(lambda: self.phone.get("/readyz").is_success)


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
        first = Instance(folder / "a", settings, stack)
        second = Instance(folder / "b", settings, stack)
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
