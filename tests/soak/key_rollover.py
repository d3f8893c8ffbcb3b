"""Roll all keys over under load: no request fails, no token is refused, no user is logged out.

Apps refresh at a steady rate while the commands `keys add`, `promote` and `retire` roll over the
signing key and the secret key, as docs/operations.md says. A verifier that knows only the JWKS, and
keeps it as long as Cache-Control allows, verifies every new access token.
`python -m tests.soak.key_rollover --help` lists the options.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jwt
from joserfc import jwk, jws
from joserfc import jwt as jose
from joserfc.errors import ExpiredTokenError, JoseError

from app.jose.key_ring import SigningKey
from tests.commands.environment import ISSUER
from tests.soak.phone import ME, App, Line
from tests.soak.run import Environment, Promise, environment, run
from tests.support.keys import read_keys
from tests.support.processes import ROOT

_APPS = 100
_TIMES = {"SESSION_ACCESS_TTL": "20", "SESSION_IDLE_TTL": "60", "SESSION_ABSOLUTE_TTL": "60"}
_PICKED_UP_WITHIN = 30.0


@dataclass(slots=True)
class Outsider:
    """Verifies with the JWKS alone. It fetches nothing for an unknown kid, as some gateways do."""

    line: Line
    keys: jwk.KeySet | None = None
    stale_at: float = 0

    async def judge(self, access_token: str) -> str:
        """Return `verified`, `expired` or `refused`."""
        if self.keys is None or time.monotonic() >= self.stale_at:
            await self._fetch()
        assert self.keys is not None
        wanted: Any = {name: {"essential": True, "value": ISSUER} for name in ("iss", "aud")}
        try:
            token = jose.decode(access_token, self.keys, algorithms=["ES256"])
            jose.JWTClaimsRegistry(**wanted, exp={"essential": True}).validate(token.claims)
        except ExpiredTokenError:
            return "expired"
        except (JoseError, ValueError):
            return "refused"
        return "verified"

    async def _fetch(self) -> None:
        response = await self.line.call("GET", "/.well-known/jwks.json")
        assert response is not None
        max_age = re.search(r"max-age=(\d+)", response.headers["Cache-Control"])
        assert max_age is not None
        self.keys = jwk.KeySet.import_key_set(response.body)
        self.stale_at = time.monotonic() + int(max_age[1])


@dataclass(slots=True)
class Rollover:
    """The load, the key file, and `found`: how often what happened.

    `signers` are the kids that may sign now. `ends` counts the ends of sessions by reason.
    """

    running: Environment
    file: Path
    rate: int
    signers: set[str]
    outsider: Outsider
    found: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    slowest_pick_up: float = 0

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        living = [asyncio.create_task(self._live(app)) for app in self.running.apps]
        yield
        assert not any(life.done() for life in living)
        for life in living:
            life.cancel()
        await asyncio.gather(*living, return_exceptions=True)

    async def _live(self, app: App) -> None:
        while True:
            await asyncio.sleep(self.running.choices.expovariate(self.rate / _APPS))
            before = set(self.signers)
            with app.noting():
                await app.refresh()
                if app.ended is not None:  # sessions are short here: sign in again
                    self.ends[app.ended] += 1
                    app.ended = None
                    app.received.clear()
                    await app.sign_in()
            await self._judge(app.access_token, before | self.signers)

    async def _judge(self, access_token: str, signers: set[str]) -> None:
        kid = jws.extract_compact(access_token.encode()).protected["kid"]
        self.found["another key signed"] += kid not in signers
        self.found[await self.outsider.judge(access_token)] += 1

    async def roll(self, wait: int) -> None:
        """Roll both keys over once, in the documented order; `wait` seconds after `add`."""
        ring = read_keys(self.file)
        old = ring.signing_key
        await self._change("add", "--alg", "ES256")
        await self._change("add", "--alg", "oct")
        added = read_keys(self.file)
        new, new_secret = added.signing_keys[-1].kid, added.secret_keys[-1].kid
        await asyncio.sleep(wait)
        self.signers.add(new)
        await self._change("promote", new)
        self.signers.remove(old.kid)
        await self._change("promote", new_secret)
        self.found["old keys accepted in the overlap"] += await self._is_accepted(old)
        for kid in (old.kid, ring.current_secret_key.kid):
            await self._change("retire", kid)
        self.found["retired keys accepted"] += await self._is_accepted(old)

    async def _change(self, *arguments: str) -> None:
        """Run a command of `keys`, again while it refuses, and wait until the service follows."""
        service = self.running.running.service
        before = service.said('"keys_reloaded"')
        while await self._command(*arguments) != 0:
            self.found["retirements refused as too early"] += 1
            await asyncio.sleep(5)
        began = time.monotonic()
        while service.said('"keys_reloaded"') == before:
            if time.monotonic() > began + _PICKED_UP_WITHIN:
                return
            await asyncio.sleep(0.1)
        self.found["changes picked up in time"] += 1
        self.slowest_pick_up = max(self.slowest_pick_up, time.monotonic() - began)

    async def _command(self, *arguments: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "keys", *arguments, "--file", str(self.file)),
            cwd=self.file.parent,
            env={**os.environ, **_TIMES, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await process.wait()

    async def _is_accepted(self, key: SigningKey) -> bool:
        """Whether the service or a new verifier accepts a token that this key signs now."""
        newest = self.running.apps[0].access_token
        claims = json.loads(jws.extract_compact(newest.encode()).payload)
        now = int(time.time())
        token = jwt.encode(
            claims | {"iat": now, "exp": now + 20},
            key.private,
            key.algorithm,
            {"typ": "at+jwt", "kid": key.kid},
        )
        response = await self.running.service.call("GET", ME, Authorization=f"Bearer {token}")
        assert response is not None
        judged = await Outsider(self.outsider.line).judge(token)
        return response.status == HTTPStatus.OK or judged == "verified"


async def main(folder: Path, given: argparse.Namespace) -> int:
    async with environment(folder, given.seed, connections=100, **_TIMES) as running:
        await running.signed_in(_APPS)
        file = folder / "keys.json"
        signers = {read_keys(file).signing_key.kid}
        rollover = Rollover(running, file, given.rate, signers, Outsider(running.service))
        began = time.monotonic()
        async with rollover.load():
            for _ in range(given.rolls):
                await rollover.roll(given.wait)
        seconds = time.monotonic() - began
        await running.running.service.stop()
    found, ends = rollover.found, rollover.ends
    facts = {
        "seconds": round(seconds),
        "tokens verified": found["verified"],
        # A session ends within milliseconds, and its last access token with it.
        "tokens that expired on the way": found["expired"],
        "requests a second": f"{running.tally['requests'] / seconds:.0f}",
        "sessions that reached their absolute end": ends["expired"],
        "retirements refused as too early": found["retirements refused as too early"],
        "slowest pick-up of a change, seconds": f"{rollover.slowest_pick_up:.1f}",
    }
    promises = [
        Promise("changes picked up in time", found["changes picked up in time"], 6 * given.rolls),
        Promise("tokens refused by the verifier", found["refused"]),
        Promise("tokens that another key signed", found["another key signed"]),
        Promise(
            "old keys accepted in the overlap",
            found["old keys accepted in the overlap"],
            given.rolls,
        ),
        Promise("retired keys accepted", found["retired keys accepted"]),
        Promise("users logged out", ends.total() - ends["expired"]),
    ]
    return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, rolls=3, rate=100, wait=300)
