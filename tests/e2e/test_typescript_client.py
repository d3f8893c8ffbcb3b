"""Clients of npm: one that generators make from docs/openapi.json, two that know RFC 9449."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Authing, Serve
from tests.support.programs import npm_installed

SOURCE = Path(__file__).with_name("typescript_client")
DPOP_CLIENTS = Path(__file__).with_name("dpop_clients")
DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.mark.long
def test_a_generated_client_has_exact_types_and_works(
    serve: Serve, settings: dict[str, str], authing: Authing, tmp_path: Path
) -> None:
    folder = npm_installed(SOURCE, tmp_path / "client")
    programs = folder / "node_modules" / ".bin"
    generate = (programs / "openapi-typescript", DESCRIPTION, "-o", folder / "ticketgate.d.ts")
    subprocess.run(generate, check=True, capture_output=True)
    compiled = subprocess.run(
        [programs / "tsc"], cwd=folder, check=False, capture_output=True, text=True
    )
    assert compiled.stdout == ""  # also without the errors that the client expects

    service = serve(**settings)
    run = ("node", str(folder / "client.js"), service.url, authing.ticket())
    printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == {
        "outcome": "rotated",
        "sub": True,
        "gate": 200,
        "ended": "revoked, relaunch_wechat",
        "revoked": 200,
    }


@pytest.fixture(scope="session")
def dpop_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("npm") / "dpop_clients"
    return npm_installed(DPOP_CLIENTS, folder) / "client.mjs"


@pytest.mark.long
@pytest.mark.parametrize("kind", ["dpop ES256", "dpop Ed25519", "jose ES256", "jose EdDSA"])
def test_a_client_that_knows_dpop_is_bound_refreshes_and_is_replayed(
    serve: Serve, settings: dict[str, str], authing: Authing, dpop_client: Path, kind: str
) -> None:
    service = serve(**settings)
    command = ("node", str(dpop_client), *kind.split(), service.url, authing.ticket())
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
