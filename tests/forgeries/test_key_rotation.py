"""The signing key changes three times under load, and a verifier of another library still verifies.

The verifier uses only the JWKS over HTTP, which it keeps as long as Cache-Control allows.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from joserfc import jwt as jose
from joserfc.jwk import KeySet

from app import keyfile
from tests.support.running_app import ISSUER, RunningApp

ROTATIONS, PHONES = 3, 10
ACCESS_LIFE = 600
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass
class Load:
    """Ten phones that keep refreshing; each new token is verified from the JWKS alone."""

    app: RunningApp
    tokens: list[dict[str, Any]]
    keys: KeySet | None = None
    fetch_at: float = 0
    max_age: float = 0

    async def verify(self, access_token: str) -> str:
        """Return the `kid`; raise JoseError or an assertion if the token is not valid."""
        if self.keys is None or self.app.clock.seconds() >= self.fetch_at:
            response = await self.app.phone.get("/.well-known/jwks.json")
            found = re.search(r"max-age=(\d+)", response.headers["Cache-Control"])
            assert found
            assert not any(PRIVATE & key.keys() for key in response.json()["keys"])
            self.keys, self.max_age = KeySet.import_key_set(response.json()), float(found[1])
            self.fetch_at = self.app.clock.seconds() + self.max_age
        token = jose.decode(access_token, self.keys, algorithms=["ES256"])
        expected: Any = {name: {"essential": True, "value": ISSUER} for name in ("iss", "aud")}
        registry = jose.JWTClaimsRegistry(
            now=self.app.clock.epoch, leeway=0, exp={"essential": True}, **expected
        )
        registry.validate(token.claims)
        return str(token.header["kid"])

    async def refresh_all(self) -> set[str]:
        """Return the names of the keys that signed."""
        return set(await asyncio.gather(*map(self._refresh, range(PHONES))))

    async def _refresh(self, number: int) -> str:
        self.tokens[number] = await self.app.refresh(self.tokens[number]["refresh_token"])
        return await self.verify(self.tokens[number]["access_token"])

    async def during(self, change: Callable[..., object], *arguments: str) -> None:
        """Change the key file while refreshes are under way."""

        async def do() -> None:
            await asyncio.sleep(0)
            change(self.app.settings.session_keys_file, *arguments)
            self.app.follow_keys()

        await asyncio.gather(self.refresh_all(), do())


async def test_key_rotation_fails_no_refresh_and_no_verification(app: RunningApp) -> None:
    load = Load(app, [await app.log_in() for _ in range(PHONES)])
    for _ in range(ROTATIONS):
        old = app.services.keys.ring.signing_key.kid
        assert await load.refresh_all() == {old}

        await load.during(keyfile.add, "ES256")
        new = app.services.keys.ring.signing_keys[-1].kid
        assert await load.refresh_all() == {old}  # published, not used yet
        last_of_old = load.tokens[0]["access_token"]
        app.clock.advance(seconds=load.max_age)

        await load.during(keyfile.promote, new)
        assert await load.refresh_all() == {new}
        assert await load.verify(last_of_old) == old  # accepted until it expires
        app.clock.advance(seconds=ACCESS_LIFE)

        await load.during(keyfile.retire, old)
        assert await load.refresh_all() == {new}
