"""Gateways that ask or know Ticketgate, each with its own file, between a client and an app."""

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tests.deploy.conftest import replaced
from tests.deploy.fleet import AS_ROOT
from tests.support.processes import ROOT
from tests.support.programs import program, started
from tests.support.threads import Request, Response, http_server
from tests.support.valkey import ports

Headers: TypeAlias = list[tuple[str, str]]
FOLDER = ROOT / "deploy" / "gateways"
TEMPORARY = " ".join(
    f"{kind}_temp_path FOLDER/{kind};"
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
ENVOY = ("-c", "FILE", "--disable-hot-restart", "--concurrency", "1", "--log-level", "error")


@dataclass(frozen=True)
class Program:
    """How to run one gateway. AUTHZ, APP, PORT, OTHER and FOLDER stand for what differs here.

    `files` says what is replaced in each file of `source`; the first is the configuration.
    """

    name: str
    arguments: Sequence[str]
    source: Path
    files: Mapping[str, Mapping[str, str]]


PROGRAMS = (
    Program(
        "nginx",
        [
            *("-p", "FOLDER", "-c", "FILE", "-e", "stderr"),
            *("-g", f"daemon off; pid FOLDER/pid; {AS_ROOT}"),
        ],
        FOLDER / "nginx",
        {
            "nginx.conf": {
                "server ticketgate:8000": "server 127.0.0.1:AUTHZ",
                "server app:8080": "server 127.0.0.1:APP",
                "listen 8080": "listen 127.0.0.1:PORT",
                "access_log off;": f"access_log off; {TEMPORARY}",
            }
        },
    ),
    Program(
        "caddy",
        ["run", "--adapter", "caddyfile", "--config", "FILE"],
        FOLDER / "caddy",
        {
            "Caddyfile": {
                "auth ticketgate:8000 {": "auth 127.0.0.1:AUTHZ {",
                "proxy app:8080": "proxy 127.0.0.1:APP",
                "http://:8080": "http://:PORT",
            }
        },
    ),
    Program(
        "envoy",
        ENVOY,
        FOLDER / "envoy",
        {
            "envoy.yaml": {
                "address: ticketgate, port_value: 8000": "address: 127.0.0.1, port_value: AUTHZ",
                "address: app, port_value: 8080": "address: 127.0.0.1, port_value: APP",
                "address: 0.0.0.0, port_value: 8080": "address: 127.0.0.1, port_value: PORT",
            }
        },
    ),
    Program(
        "traefik",
        ["--configFile=FILE"],
        FOLDER / "traefik",
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
)


@dataclass
class Answer:
    """A response of the gateway to its client, and the requests that reached the app meanwhile."""

    status: int
    headers: dict[str, str]
    body: bytes
    passed: list[Request]


@dataclass
class Gateway:
    """A running gateway. The app behind it trusts its headers, so the gateway must be right."""

    port: int
    seen: list[Request] = field(default_factory=list)

    def ask(
        self, method: str = "GET", path: str = "/a", *headers: tuple[str, str], body: bytes = b""
    ) -> Answer:
        """Send a request as it is; return the response, and what of it reached the app."""
        fields = [("Host", "gateway.test"), ("Connection", "close"), *headers]
        if body:
            fields.append(("Content-Length", str(len(body))))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
        self.seen.clear()
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(f"{head}\r\n".encode() + body)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        lines, _, rest = received.partition(b"\r\n\r\n")
        status, *named = lines.decode().split("\r\n")
        pairs = (line.split(":", 1) for line in named)
        found = {name.lower(): value.strip() for name, value in pairs}
        return Answer(int(status.split()[1]), found, rest, list(self.seen))

    def is_ready(self) -> bool:
        try:
            # Traefik answers 404 until it has read its routes; Envoy 503 until it has the keys.
            return self.ask().status not in {404, 503}
        except (OSError, ValueError):
            return False


def identity_of(request: Request) -> Headers:
    """All headers that a framework may take for one of X-Auth-*."""
    plain = [(re.sub("[^a-z0-9]", "-", k.lower()), value) for k, value in request.headers]
    return sorted((k, value) for k, value in plain if k.startswith("x-auth-") and value)


@contextmanager
def running(wanted: Program, folder: Path, authz: int) -> Iterator[Gateway]:
    """Run a gateway before an app; it asks a Ticketgate on this port of 127.0.0.1."""
    found = program(wanted.name)
    with ExitStack() as stack:
        port, other = (ports.number(stack.enter_context(ports.reserve())) for _ in range(2))
        gateway = Gateway(port)

        def note(request: Request) -> Response:
            gateway.seen.append(request)
            return Response()

        app = stack.enter_context(http_server(note))
        here = {"AUTHZ": authz, "APP": app, "PORT": port, "OTHER": other, "FOLDER": folder}

        def placed(text: str) -> str:
            for place, value in here.items():
                text = text.replace(place, str(value))
            return text

        for file, pieces in wanted.files.items():
            text = replaced((wanted.source / file).read_text("utf-8"), pieces)
            (folder / file).write_text(placed(text))
        here["FILE"] = folder / next(iter(wanted.files))
        command = [found, *map(placed, wanted.arguments)]
        homes = {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        stack.enter_context(started(command, folder / "log", gateway.is_ready, **homes))
        yield gateway
