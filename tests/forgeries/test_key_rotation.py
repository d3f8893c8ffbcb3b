"""T1.8: the signing key changes three times under load, and a verifier of another make looks on.

It knows nothing but the JWKS over HTTP, which it keeps as long as Cache-Control allows.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc import jwt as jose
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app import keyfile
from tests.forgeries.target import follow_keys, show
from tests.support.running_app import ISSUER, RunningApp

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROTATIONS, PHONES = 3, 10
ACCESS_LIFE = 600
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass
class Outsider:
    """Verifies access tokens as the rest of a backend would."""

    world: RunningApp
    fetched_at: float = 0
    max_age: float = 0
    keys: KeySet | None = None
    verified: int = 0

    async def verify(self, access_token: str) -> str:
        """Give the `kid`; JoseError or an assertion if the token is not good."""
        if self.keys is None or self.world.clock.seconds() >= self.fetched_at + self.max_age:
            await self.fetch()
        assert self.keys is not None
        token = jose.decode(access_token, self.keys, algorithms=["ES256"])
        claims = jose.JWTClaimsRegistry(
            now=self.world.clock.epoch,
            leeway=0,
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": ISSUER},
            exp={"essential": True},
        )
        claims.validate(token.claims)
        self.verified += 1
        return str(token.header["kid"])

    async def fetch(self) -> None:
        answer = await self.world.phone.get("/.well-known/jwks.json")
        found = re.search(r"max-age=(\d+)", answer.headers["Cache-Control"])
        assert found
        document = answer.json()
        assert not any(PRIVATE & key.keys() for key in document["keys"])
        self.keys = KeySet.import_key_set(document)
        self.fetched_at, self.max_age = self.world.clock.seconds(), float(found[1])


@dataclass
class Load:
    """Ten signed-in phones that refresh all the time, each answer verified from outside at once."""

    world: RunningApp
    outsider: Outsider
    tokens: list[dict[str, Any]]

    async def refresh_all(self) -> set[str]:
        """Which keys have signed."""
        return set(await asyncio.gather(*map(self._refresh, range(PHONES))))

    async def _refresh(self, number: int) -> str:
        self.tokens[number] = await self.world.refresh(self.tokens[number]["refresh_token"])
        return await self.outsider.verify(self.tokens[number]["access_token"])

    async def during(self, change: Callable[..., object], *arguments: str) -> None:
        """Change the key file while refreshes are under way."""

        async def do() -> None:
            await asyncio.sleep(0)
            change(self.world.settings.session_keys_file, *arguments)
            follow_keys(self.world)

        await asyncio.gather(self.refresh_all(), do())


async def start_load(world: RunningApp) -> Load:
    tokens = [await world.log_in() for _ in range(PHONES)]
    return Load(world, Outsider(world), tokens)


async def test_no_rotation_of_keys_is_felt_by_anybody(world: RunningApp) -> None:
    load = await start_load(world)
    outsider = load.outsider
    for _ in range(ROTATIONS):
        old = world.services.keys.ring.signing_key.kid
        assert await load.refresh_all() == {old}

        await load.during(keyfile.add, "ES256")
        new = world.services.keys.ring.signing_keys[-1].kid
        assert await load.refresh_all() == {old}  # published, not used yet
        last_of_old = load.tokens[0]["access_token"]
        world.clock.advance(seconds=outsider.max_age)

        await load.during(keyfile.promote, new)
        assert await load.refresh_all() == {new}
        assert await outsider.verify(last_of_old) == old  # believed until its time is over
        world.clock.advance(seconds=ACCESS_LIFE)

        await load.during(keyfile.retire, old)
        assert await load.refresh_all() == {new}
    assert outsider.verified == ROTATIONS * (PHONES * 7 + 1)


async def test_what_a_retired_key_signed_is_refused_by_us_and_by_others(world: RunningApp) -> None:
    load = await start_load(world)
    await load.refresh_all()
    path, old = world.settings.session_keys_file, world.services.keys.ring.signing_key.kid
    keyfile.promote(path, keyfile.add(path, "ES256"))
    keyfile.retire(path, old)
    follow_keys(world)
    token = load.tokens[0]["access_token"]
    answer = await show(world, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "access_token_invalid")
    await load.outsider.fetch()
    with pytest.raises((JoseError, ValueError)):
        await load.outsider.verify(token)
