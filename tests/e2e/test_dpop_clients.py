"""Clients that know RFC 9449 and not us: npm dpop, npm jose, joserfc."""

import json
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.commands.environment import ISSUER
from tests.e2e.conftest import Authing, Serve
from tests.support.programs import npm_installed

CLIENTS = Path(__file__).with_name("dpop_clients")


@pytest.fixture(scope="session")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client of `dpop_clients/` with its locked packages."""
    return npm_installed(CLIENTS, tmp_path_factory.mktemp("npm") / "dpop_clients") / "client.mjs"


@pytest.mark.long
@pytest.mark.parametrize("kind", ["dpop ES256", "dpop Ed25519", "jose ES256", "jose EdDSA"])
def test_a_client_of_npm_is_bound_refreshes_and_is_replayed(
    serve: Serve, settings: dict[str, str], authing: Authing, node_client: Path, kind: str
) -> None:
    service = serve(**settings)
    command = ("node", str(node_client), *kind.split(), service.url, authing.ticket())
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    found = json.loads(printed)
    copied = found.pop("refreshToken")
    assert found == {
        "nonceRequests": 1,
        "sameLogin": True,
        "outcomes": ["rotated", "replayed"],
        "sameSuccessor": True,
        "bound": True,
    }
    assert service.refresh(copied).json()["code"] == "proof_required"


def test_a_client_of_joserfc_is_bound_refreshes_and_is_replayed(
    serve: Serve, settings: dict[str, str], authing: Authing
) -> None:
    service, key = serve(**settings), ECKey.generate_key("P-256")
    nonce = ""

    def post(path: str, body: dict[str, str]) -> dict[str, Any]:
        nonlocal nonce
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
        claims = {"jti": secrets.token_urlsafe(), "htm": "POST", "htu": ISSUER + path}
        proof = jwt.encode(header, claims | {"iat": int(time.time()), "nonce": nonce}, key)
        response = service.phone.post(path, json=body, headers={"DPoP": proof})
        nonce = response.headers["DPoP-Nonce"]
        answer: dict[str, Any] = response.json()
        return post(path, body) if answer.get("error") == "use_dpop_nonce" else answer

    token = {"refresh_token": post("/v1/sessions", {"ticket": authing.ticket()})["refresh_token"]}
    first, second = (post("/v1/sessions/refresh", token) for _ in range(2))
    assert (first["outcome"], second["outcome"]) == ("rotated", "replayed")
    assert first["refresh_token"] == second["refresh_token"]
    assert service.refresh(first["refresh_token"]).json()["code"] == "proof_required"
