"""A copy of the store, after many logins through the real client: it contains no credential.

The number of logins is DUMP_LOGINS.
"""

import asyncio
import base64
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from app import keyfile
from app.authing.transport import Response
from app.commands.sandbox import AsgiTransport
from app.config import Settings, load_settings
from app.main import open_services
from app.sandbox import Consent, Sandbox, SandboxOptions
from app.sandbox.personas import Persona
from app.sessions.login import Login
from app.sessions.models import Device, TokenPair
from tests.commands.environment import POOL_ID, POOL_SECRET, enter, minimal
from tests.stores.dump import Dump, Files, Keys

JWS = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
LOGINS = int(os.environ.get("DUMP_LOGINS", "100"))


class Wire(AsgiTransport):
    """The transport to the fake Authing; keeps the tokens that it carries."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.tokens: list[str] = []

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        response = await super().send(method, url, headers, body)
        self.tokens += JWS.findall(response.body.decode())
        return response


def secrets_of(pair: TokenPair) -> Iterator[str | bytes]:
    """The credentials of a pair. Ids are none: every access token contains them."""
    mac = pair.refresh_token[-43:]
    yield from (pair.access_token, pair.access_token.split(".")[2], pair.refresh_token, mac)
    yield base64.urlsafe_b64decode(mac + "=")


@pytest.fixture(params=["sqlite", "valkey"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files | Keys]:
    if request.param == "sqlite":
        yield Files(tmp_path / "data")
    else:
        with closing(Keys(request.getfixturevalue("valkey"))) as keys:
            yield keys


@pytest.fixture
def settings(tmp_path: Path, store: Files | Keys, monkeypatch: pytest.MonkeyPatch) -> Settings:
    enter(tmp_path, monkeypatch, **minimal(tmp_path))
    keyfile.add(tmp_path / "keys.json", "oct")
    return load_settings(
        Settings,
        env_file=None,
        secrets_dir=None,
        authing_base_url="http://localhost",
        store_url=store.url,
    )


async def test_a_copy_of_the_store_contains_no_credential_and_nothing_personal(
    settings: Settings, store: Files | Keys
) -> None:
    sandbox = Sandbox(SandboxOptions(user_pool_id=POOL_ID, user_pool_secret=POOL_SECRET))
    wire = Wire(sandbox.app)
    secrets: list[str | bytes] = []
    ids: list[str] = []
    async with open_services(settings, drain=asyncio.Event(), transport=wire) as services:
        for number in range(LOGINS):
            person = Persona(f"made-up-person-{number}")
            ticket = sandbox.state.issue(Consent(person.name))
            device: Device = {"id": f"id-of-phone-{number}", "name": f"phone of {number}"}
            login = Login(ticket, device, f"made-up-idempotency-key-{number}")
            pair = await services.logins.log_in(login)
            successor = await services.sessions.refresh(pair.refresh_token)
            if number % 3 == 0:
                await services.sessions.log_out(successor.access_token)
            ids.append(pair.session.id)
            secrets += [*secrets_of(pair), *secrets_of(successor), ticket, f"phone of {number}"]
            secrets += [person.phone, person.openid, person.unionid, person.name]
            secrets += [f"made-up-idempotency-key-{number}", f"id-of-phone-{number}"]
        while_open = store.dump()
    assert len(wire.tokens) == LOGINS
    after = store.dump()
    for dump in (while_open, after):
        assert all(map(dump.holds, ids))
        assert [each for each in [*secrets, *wire.tokens] if dump.holds(each)] == []


@pytest.mark.parametrize("beside", [0, 1, 2, 3, 4])
def test_the_search_finds_a_secret_in_every_encoding(beside: int) -> None:
    secret, around = "a-made-up-secret-?~?~", b"x" * beside
    written = around + secret.encode() + b"more"
    for dump in (
        written,
        written.hex().encode(),
        written.hex().upper().encode(),
        base64.b64encode(written),
        base64.urlsafe_b64encode(written),
    ):
        assert Dump(b"\0\1" + dump + b"\2").holds(secret)
    assert not Dump(b"a-made-up-something-else").holds(secret)
