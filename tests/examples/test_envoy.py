"""examples/verify/envoy/envoy.yaml, run by the real Envoy between a client and a service."""

from collections.abc import Iterator

import pytest

from tests.deploy.gateways import ENVOY, Gateway, Program, identity_of, running
from tests.examples.issuer import Issuer, running_issuer
from tests.examples.samples import FOLDER

pytestmark = pytest.mark.long
NOT_CHECKED = {"issued in the future"}
"""Bad tokens that Envoy accepts; only Ticketgate's own key could make them."""


def example() -> Program:
    """The example at addresses of this machine, without TLS."""
    file = FOLDER / "envoy" / "envoy.yaml"
    _, tls, upstream_context = file.read_text("utf-8").partition("      transport_socket:")
    pieces = {
        tls + upstream_context: "",
        "https://login.example.com": "http://127.0.0.1:AUTHZ",
        "address: login.example.com, port_value: 443": "address: 127.0.0.1, port_value: AUTHZ",
        "address: api, port_value: 8000": "address: 127.0.0.1, port_value: APP",
        "address: 0.0.0.0, port_value: 8080": "address: 127.0.0.1, port_value: PORT",
    }
    return Program("envoy", ENVOY, file.parent, {file.name: pieces})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def gateway(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(example(), tmp_path_factory.mktemp("envoy"), issuer.port) as gateway:
        yield gateway


def test_envoy_lets_good_tokens_through_and_no_others(gateway: Gateway, issuer: Issuer) -> None:
    def status(token: str) -> int:
        headers = [("Authorization", f"Bearer {token}")] if token else []
        return gateway.ask("GET", "/", *headers).status

    good, bad = issuer.good(), issuer.bad()
    assert {name: status(token) for name, token in good.items()} == dict.fromkeys(good, 200)
    accepted = {name for name, token in bad.items() if status(token) not in {401, 403}}
    assert accepted == NOT_CHECKED


@pytest.mark.parametrize("name", ["X-Auth-User-Id", "x-auth-session-id", "x_auth_user_id"])
def test_the_service_learns_the_identity_from_the_token_only(
    gateway: Gateway, issuer: Issuer, name: str
) -> None:
    headers = [("Authorization", f"Bearer {issuer.token()}"), (name, "admin"), (name, "admin")]
    (received,) = gateway.ask("GET", "/", *headers).passed
    identity = [("x-auth-session-id", "session-1"), ("x-auth-user-id", "user-1")]
    assert identity_of(received) == identity
