"""Ticketgate and its fake Authing as processes, each on a port of its own."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.commands.environment import POOL_ID, POOL_SECRET, minimal, without_settings
from tests.support.processes import Program, sandbox_process


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=60)


@dataclass
class Authing:
    """The fake Authing, and the mini program in front of it."""

    url: str
    http: httpx.Client

    def mini_program(self, persona: str = "lin", **consent: Any) -> dict[str, Any]:
        """Let a user consent. The result holds the ticket and the `ext_msg` that WeChat returns."""
        response = self.http.post("/sandbox/tickets", json={"persona": persona, **consent})
        return dict(response.raise_for_status().json())

    def ticket(self, persona: str = "lin") -> str:
        return str(self.mini_program(persona)["ticket"])

    def switch(self, **options: Any) -> None:
        self.http.patch("/sandbox/settings", json=options).raise_for_status()

    def fail(self, kind: str, **how: Any) -> None:
        self.http.put("/sandbox/fault", json={"kind": kind, **how}).raise_for_status()

    def exchange(self, ticket: str) -> dict[str, Any]:
        """Exchange a ticket directly, without the service."""
        body = {"ticket": ticket, "secret": POOL_SECRET}
        response = self.http.post(f"/oauth/app2wxapp/auth/{POOL_ID}", json=body)
        return dict(response.raise_for_status().json())


@dataclass
class Service:
    """Ticketgate as an operator starts it, and a phone that talks to it."""

    folder: Path
    command: str
    settings: dict[str, str]
    stack: ExitStack

    def start(self) -> None:
        environment = without_settings() | self.settings
        arguments = ("-m", "app", *self.command.split())
        self.program = Program(self.folder, *arguments, environment=environment)
        self.stack.callback(self.program.close)
        self.url = self._address()
        self.phone = self.stack.enter_context(client(self.url))

    def _address(self) -> str:
        if self.command.startswith("sandbox"):
            return self.program.line_with("Ticketgate sandbox on").split()[-1]
        serving = json.loads(self.program.line_with('"serving"'))
        return f"http://127.0.0.1:{serving['port']}"

    def log_in(self, ticket: str, key: str | None = None) -> dict[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        response = self.phone.post("/v1/sessions", json={"ticket": ticket}, headers=headers)
        assert response.status_code == 201, response.text
        return dict(response.json())

    def refresh(self, refresh_token: str) -> httpx.Response:
        return self.phone.post("/v1/sessions/refresh", json={"refresh_token": refresh_token})

    def as_bearer(self, method: str, path: str, access_token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.phone.request(method, path, headers=headers)

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.program.out.splitlines()]


@contextmanager
def running_authing(folder: Path) -> Iterator[Authing]:
    """A fake Authing as a process."""
    with (
        sandbox_process(folder, POOL_ID, POOL_SECRET, without_settings()) as url,
        client(url) as http,
    ):
        yield Authing(url, http)


@pytest.fixture(scope="session")
def _authing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authing]:
    with running_authing(tmp_path_factory.mktemp("authing")) as authing:
        yield authing


@pytest.fixture
def authing(_authing: Authing) -> Iterator[Authing]:
    """The fake Authing with its default switches and no fault."""
    switches = _authing.http.get("/sandbox/settings").json()
    yield _authing
    _authing.switch(**switches)
    _authing.http.delete("/sandbox/fault")


Serve = Callable[..., Service]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts services in a folder of their own, without the settings of the machine."""
    with ExitStack() as stack:

        def serve(command: str = "serve", **settings: str) -> Service:
            service = Service(tmp_path, command, {"PORT": "0", **settings}, stack)
            service.start()
            return service

        yield serve


@pytest.fixture
def settings(tmp_path: Path, authing: Authing) -> dict[str, str]:
    """The required settings, with the fake Authing as Authing."""
    own = {"AUTHING_BASE_URL": authing.url, "DRAIN_DELAY": "1"}
    # All requests come from one address here.
    unhindered = {"RATE_LIMIT_LOGIN": "999999/second", "RATE_LIMIT_REFRESH": "999999/second"}
    return minimal(tmp_path) | own | unhindered
