"""examples/verify/envoy/envoy.yaml, run by the real Envoy between a client and a service."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typing_extensions import override

from tests.examples.issuer import Issuer, running_issuer
from tests.examples.samples import FOLDER
from tests.support.processes import soon
from tests.support.threads import serving_in_thread
from tests.support.valkey import ports

pytestmark = pytest.mark.long
NOT_CHECKED = {"issued in the future"}
"""Bad tokens that Envoy accepts; only Ticketgate's own key could make them."""


class Echo(BaseHTTPRequestHandler):
    """A service that answers with the names and values of the headers it received."""

    def do_GET(self) -> None:
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def client(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    program = shutil.which("envoy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("envoy is not installed")
    file = tmp_path_factory.mktemp("envoy") / "envoy.yaml"
    with (
        serving_in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Echo)) as echo,
        ports.reserve() as reserved,
        file.with_name("log").open("wb") as log,
    ):
        port = ports.number(reserved)
        file.write_text(json.dumps(configuration(issuer, port, echo.server_port)))
        command = [program, "-c", str(file), "--concurrency", "1", "--use-dynamic-base-id"]
        with (
            subprocess.Popen(command, stdout=log, stderr=log) as envoy,
            httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            try:
                soon(lambda: envoy.poll() is not None or answers(client))
                assert envoy.poll() is None, file.with_name("log").read_text()
                yield client
            finally:
                envoy.terminate()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/").status_code == 401
    except httpx.TransportError:
        return False


def configuration(issuer: Issuer, port: int, service: int) -> Any:
    """The example at addresses of this machine, without TLS."""
    text = (FOLDER / "envoy" / "envoy.yaml").read_text()
    content = yaml.safe_load(text.replace("https://login.example.com", issuer.url))
    listener, (api, ticketgate) = (
        content["static_resources"]["listeners"][0],
        content["static_resources"]["clusters"],
    )
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    del ticketgate["transport_socket"]
    for cluster, number in ((api, service), (ticketgate, httpx.URL(issuer.url).port)):
        (endpoints,) = cluster["load_assignment"]["endpoints"]
        (endpoint,) = endpoints["lb_endpoints"]
        address = {"address": "127.0.0.1", "port_value": number}
        endpoint["endpoint"]["address"]["socket_address"] = address
    return content


def test_envoy_lets_good_tokens_through_and_no_others(client: httpx.Client, issuer: Issuer) -> None:
    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return client.get("/", headers=headers).status_code

    good, bad = issuer.good(), issuer.bad()
    assert {name: status(token) for name, token in good.items()} == dict.fromkeys(good, 200)
    accepted = {name for name, token in bad.items() if status(token) not in {401, 403}}
    assert accepted == NOT_CHECKED


@pytest.mark.parametrize("name", ["X-Auth-User-Id", "x-auth-session-id", "x_auth_user_id"])
def test_the_service_learns_the_identity_from_the_token_only(
    client: httpx.Client, issuer: Issuer, name: str
) -> None:
    headers = [("Authorization", f"Bearer {issuer.token()}"), (name, "admin"), (name, "admin")]
    received = [
        (header.replace("_", "-"), value)
        for header, value in client.get("/", headers=headers).json()
        if "auth" in header and "authorization" not in header
    ]
    assert sorted(received) == [("x-auth-session-id", "session-1"), ("x-auth-user-id", "user-1")]
