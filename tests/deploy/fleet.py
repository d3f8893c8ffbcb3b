"""The fleet of `deploy/compose.yaml` as plain processes: its Valkey with its user, two services,
and its nginx before them. Its files are taken as they are; only the addresses are this machine's.
"""

import json
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import hiredis
import httpx

from tests.deploy.conftest import read, replaced
from tests.e2e.conftest import Service
from tests.support.authority import Authority
from tests.support.processes import listens, soon
from tests.support.programs import program, started
from tests.support.valkey import ports
from tests.support.valkey.process import Server

PASSWORD = "made-up-password-of-valkey-0123456789"
# nginx's workers would change the user; in the container it is not root.
AS_ROOT = "" if os.getuid() else "user root;"


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
class Nginx:
    folder: Path
    port: int
    tls: ssl.SSLContext

    def proxied(self, at_least: int = 0) -> list[dict[str, str]]:
        """Its access log, once it has so many lines. A line may come after the response."""
        file = self.folder / "access.log"
        soon(lambda: len(file.read_text().splitlines()) >= at_least)
        return [json.loads(line) for line in file.read_text().splitlines()]

    def written(self) -> str:
        """All that it has logged."""
        return "".join((self.folder / name).read_text() for name in ("access.log", "errors"))

    def raw(self, request: bytes) -> bytes:
        """Send these bytes over TLS; all that comes back until nginx closes."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            self.tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx.Client:
        """An app at this address."""
        transport = httpx.HTTPTransport(local_address=address, verify=self.tls)
        url = f"https://127.0.0.1:{self.port}"
        return httpx.Client(base_url=url, transport=transport, headers=headers, timeout=30)


@contextmanager
def running_nginx(folder: Path, first: int, second: int) -> Iterator[Nginx]:
    """One nginx in a folder of its own, before services on these two ports of 127.0.0.1."""
    authority = Authority(folder)
    authority.server()
    file = folder / "nginx.conf"
    with ports.reserve() as reserved:
        port = ports.number(reserved)
        pieces = {
            "/tmp/": f"{folder}/",  # noqa: S108  # of the container
            "172.31.250.11:8000": f"127.0.0.1:{first}",
            "172.31.250.12:8000": f"127.0.0.1:{second}",
            "listen 8443": f"listen 127.0.0.1:{port}",
            "/run/tls/fullchain.pem": f"{folder}/server.pem",
            "/run/tls/privkey.pem": f"{folder}/server.pem",
            "/dev/stdout": f"{folder}/access.log",
        }
        file.write_text(replaced(read("nginx/nginx.conf"), pieces))
        command = [program("nginx"), "-p", str(folder), "-c", str(file), "-e", "stderr"]
        with started([*command, "-g", AS_ROOT], folder / "errors", lambda: listens(port)):
            yield Nginx(folder, port, ssl.create_default_context(cafile=str(authority.file)))


@dataclass(frozen=True)
class Fleet:
    """Two services with nginx in front of them, running."""

    nginx: Nginx
    instances: tuple[Instance, Instance]


@contextmanager
def running_fleet(folder: Path, settings: Mapping[str, str]) -> Iterator[Fleet]:
    """Start two services with these settings, and nginx in front of them."""
    folder.mkdir()
    with ExitStack() as stack:
        first = Instance(folder / "a", settings, stack)
        second = Instance(folder / "b", settings, stack)
        nginx = stack.enter_context(running_nginx(folder / "nginx", first.port, second.port))
        yield Fleet(nginx, (first, second))


@contextmanager
def valkey(folder: Path, readme: str) -> Iterator[str]:
    """`deploy/valkey/valkey.conf` with the users that the page makes; gives the STORE_URL."""
    folder.mkdir()
    (users,) = re.findall(r"printf '(user default [^']+)'", readme)
    hashed = sha256(PASSWORD.encode()).hexdigest()
    (folder / "users.acl").write_text(str(users).replace("\\n", "\n") % hashed)
    pieces = {"dir /data": f"dir {folder}", "/run/acl/": f"{folder}/"}
    file = folder / "valkey.conf"
    file.write_text(replaced(read("valkey/valkey.conf"), pieces))
    # What survives is tested elsewhere; here many tests may share one disk.
    here = ("--bind", "127.0.0.1", "--appendfsync", "no")
    with Server(folder, str(file), *here) as server:
        server.launch()
        soon(lambda: _pings(server))
        yield f"redis://ticketgate:{PASSWORD}@127.0.0.1:{server.port}"


def _pings(server: Server) -> bool:
    assert server.running, (server.folder / "server.log").read_text()
    try:
        return bool(server.cli("PING") == "PONG")
    except (OSError, hiredis.ReplyError):
        return False
