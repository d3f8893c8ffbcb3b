"""`deploy/nginx/nginx.conf`, run by this machine's nginx at addresses of this machine."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

from tests.deploy.dockerfile import ROOT
from tests.support.authority import Authority
from tests.support.processes import soon
from tests.support.valkey import ports

TEMPORARY = "/tmp/"  # noqa: S108  # of the container


def nginx_program() -> str | None:
    """Where nginx is; few users have the folders of servers on their path."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def replaced(text: str, pieces: Mapping[str, str]) -> str:
    """The text with these pieces replaced, each of which must be there."""
    for piece, other in pieces.items():
        assert piece in text, piece
        text = text.replace(piece, other)
    return text


class Nginx:
    """One nginx in a folder of its own, before services on these two ports of 127.0.0.1."""

    def __init__(self, folder: Path, upstreams: tuple[int, int]) -> None:
        program = nginx_program()
        assert program is not None
        folder.mkdir()
        self._folder = folder
        self._reserved = ports.reserve()
        self.port = ports.number(self._reserved)
        authority = Authority(folder)
        authority.server()
        self.tls = ssl.create_default_context(cafile=str(authority.file))
        file = folder / "nginx.conf"
        file.write_text(self._configuration(upstreams))
        self._command = [program, "-p", str(folder), "-c", str(file), "-e", "stderr"]
        if os.getuid() == 0:  # not in the container; the workers would change the user
            self._command += ["-g", "user root;"]

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._reserved.close()

    def restart(self) -> None:
        """Let it forget which services have failed lately."""
        self._stop()
        self._start()

    def proxied(self, at_least: int = 0) -> list[dict[str, str]]:
        """Its access log, once it has so many lines. A line may come after the response."""
        soon(lambda: len(self._lines()) >= at_least)
        return [json.loads(line) for line in self._lines()]

    def _lines(self) -> list[str]:
        return (self._folder / "access.log").read_text().splitlines()

    def written(self) -> str:
        """All that it has logged."""
        return "".join((self._folder / name).read_text() for name in ("access.log", "errors"))

    def raw(self, request: bytes) -> bytes:
        """Send these bytes over TLS; all that comes back until nginx closes."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            self.tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(request)
            received = b""
            while data := connection.recv(65536):
                received += data
        return received

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx.Client:
        """An app at this address."""
        transport = httpx.HTTPTransport(local_address=address, verify=self.tls)
        url = f"https://127.0.0.1:{self.port}"
        return httpx.Client(base_url=url, transport=transport, headers=headers, timeout=30)

    def _configuration(self, upstreams: tuple[int, int]) -> str:
        first, second = upstreams
        pieces = {
            TEMPORARY: f"{self._folder}/",
            "172.31.250.11:8000": f"127.0.0.1:{first}",
            "172.31.250.12:8000": f"127.0.0.1:{second}",
            "listen 8443": f"listen 127.0.0.1:{self.port}",
            "/run/tls/fullchain.pem": f"{self._folder}/server.pem",
            "/run/tls/privkey.pem": f"{self._folder}/server.pem",
            "/dev/stdout": f"{self._folder}/access.log",
        }
        return replaced((ROOT / "deploy/nginx/nginx.conf").read_text(encoding="utf-8"), pieces)

    def _start(self) -> None:
        with (self._folder / "errors").open("ab") as errors:
            self._process = subprocess.Popen(self._command, stdout=errors, stderr=errors)
        soon(lambda: self._answers() or self._process.poll() is not None)
        assert self._process.poll() is None, self.written()

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
