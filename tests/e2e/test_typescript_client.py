"""A TypeScript client that generators make from docs/openapi.json."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Authing, Serve
from tests.support.programs import npm_installed

SOURCE = Path(__file__).with_name("typescript_client")
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
