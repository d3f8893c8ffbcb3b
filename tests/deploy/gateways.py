"""The programs of `deploy/gateways`, each with its own file, between a client and an app."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

from tests.deploy.dockerfile import ROOT
from tests.deploy.nginx import replaced
from tests.deploy.programs import program
from tests.support.processes import soon
from tests.support.threads import serving_in_thread
from tests.support.valkey import ports

Headers: TypeAlias = list[tuple[str, str]]
FOLDER = ROOT / "deploy" / "gateways"
TEMPORARY = " ".join(
    f"{kind}_temp_path FOLDER/{kind};"
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


USER = "" if os.getuid() else "user root;"  # nginx's workers would change the user


@dataclass(frozen=True)
class Program:
    """How to run one gateway. AUTHZ, APP, PORT, OTHER and FOLDER stand for what differs here."""

    command: Sequence[str]
    files: Mapping[str, Mapping[str, str]]
    """For each file what is replaced in it; the first is the configuration."""


PROGRAMS = {
    "nginx": Program(
        ["-p", "FOLDER", "-c", "FILE", "-e", "stderr", "-g", f"daemon off; pid FOLDER/pid; {USER}"],
        {
            "nginx.conf": {
                "server ticketgate:8000": "server 127.0.0.1:AUTHZ",
                "server app:8080": "server 127.0.0.1:APP",
                "listen 8080": "listen 127.0.0.1:PORT",
                "access_log off;": f"access_log off; {TEMPORARY}",
            }
        },
    ),
    "caddy": Program(
        ["run", "--adapter", "caddyfile", "--config", "FILE"],
        {
            "Caddyfile": {
                "auth ticketgate:8000 {": "auth 127.0.0.1:AUTHZ {",
                "proxy app:8080": "proxy 127.0.0.1:APP",
                "http://:8080": "http://:PORT",
            }
        },
    ),
    "envoy": Program(
        ["-c", "FILE", "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"],
        {
            "envoy.yaml": {
                "address: ticketgate, port_value: 8000": "address: 127.0.0.1, port_value: AUTHZ",
                "address: app, port_value: 8080": "address: 127.0.0.1, port_value: APP",
                "address: 0.0.0.0, port_value: 8080": "address: 127.0.0.1, port_value: PORT",
            }
        },
    ),
    "traefik": Program(
        ["--configFile=FILE"],
        {
            "traefik.yaml": {
                '":8080"': '"127.0.0.1:PORT"',
                "127.0.0.1:8081": "127.0.0.1:OTHER",
                "/etc/traefik/": "FOLDER/",
            },
            "routes.yaml": {
                "http://ticketgate:8000": "http://127.0.0.1:AUTHZ",
                "http://app:8080": "http://127.0.0.1:APP",
                "127.0.0.1:8081": "127.0.0.1:OTHER",
            },
        },
    ),
}


@dataclass
class Seen:
    """A request that reached the app behind the gateway."""

    method: str
    path: str
    headers: Headers
    body: bytes

    def identity(self) -> Headers:
        """All headers that a framework may take for one of X-Auth-*."""
        plain = [(re.sub("[^a-z0-9]", "-", k.lower()), value) for k, value in self.headers]
        return sorted((k, value) for k, value in plain if k.startswith("x-auth-") and value)


class _Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "App"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append(Seen(self.command, self.path, self.headers.items(), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class App(ThreadingHTTPServer):
    """The app behind a gateway. It trusts its headers, so the gateway must be right."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recorder)
        self.seen: list[Seen] = []


@dataclass
class Answer:
    """A response of the gateway to its client."""

    status: int
    headers: dict[str, str]
    body: bytes
    passed: list[Seen] = field(default_factory=list)


@dataclass
class Gateway:
    """A running gateway."""

    port: int
    app: App

    def ask(
        self,
        method: str = "GET",
        path: str = "/orders",
        *headers: tuple[str, str],
        body: bytes = b"",
    ) -> Answer:
        """Send a request as it is; return the response, and what of it reached the app."""
        fields = [("Host", "gateway.test"), ("Connection", "close"), *headers]
        if body:
            fields.append(("Content-Length", str(len(body))))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
        self.app.seen.clear()
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(f"{head}\r\n".encode() + body)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        lines, _, rest = received.partition(b"\r\n\r\n")
        status, *named = lines.decode().split("\r\n")
        pairs = (line.split(":", 1) for line in named)
        found = {name.lower(): value.strip() for name, value in pairs}
        return Answer(int(status.split()[1]), found, rest, list(self.app.seen))


@contextmanager
def running(name: str, folder: Path, authz: int) -> Iterator[Gateway]:
    """Run a gateway before an app; it asks a Ticketgate on this port of 127.0.0.1."""
    found = program(name)
    assert found is not None
    with ExitStack() as stack:
        app = stack.enter_context(serving_in_thread(App()))
        port, other = (ports.number(stack.enter_context(ports.reserve())) for _ in range(2))
        here = {"AUTHZ": authz, "APP": app.server_address[1], "PORT": port, "OTHER": other}
        places = {**{k: str(v) for k, v in here.items()}, "FOLDER": str(folder)}

        def placed(text: str) -> str:
            for place, value in places.items():
                text = text.replace(place, value)
            return text

        wanted = PROGRAMS[name]
        for file, pieces in wanted.files.items():
            text = replaced((FOLDER / name / file).read_text("utf-8"), pieces)
            (folder / file).write_text(placed(text))
        places["FILE"] = str(folder / next(iter(wanted.files)))
        environment = os.environ | {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        command = [found, *map(placed, wanted.command)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        gateway = Gateway(port, app)
        soon(lambda: _serves(gateway) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield gateway


def _serves(gateway: Gateway) -> bool:
    try:
        return gateway.ask().status != 404  # Traefik answers 404 until it has read its routes
    except (OSError, ValueError):
        return False
