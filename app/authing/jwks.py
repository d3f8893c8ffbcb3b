"""The issuer's public keys, fetched when they are needed and kept when that fails.

In place of PyJWT's PyJWKClient, which blocks the event loop. The address is the operator's
setting; nothing in a token can steer it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import httpx

from app.authing.client_errors import within
from app.authing.jwk import read_jwk_set
from app.authing.keys import TokenKey
from app.authing.response import ask, read_json
from app.errors import AuthingBadAnswer, AuthingError, AuthingUnavailable

_log = logging.getLogger(__name__)

LIFETIME = 600
"""Seconds after which the keys are fetched again."""
COOLDOWN = 30
"""Seconds that must pass between two fetches while there are keys to go on with."""

_OK = 200


class RemoteJwks:
    """The JWK Set at a URL, for one event loop. `deadline` of a fetch in seconds.

    One fetch serves all who wait for it. While there are keys, a failed fetch is only logged: the
    issuer's trouble is felt where there are none yet.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        *,
        deadline: float = 3.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = url
        self._deadline = deadline
        self._monotonic = monotonic
        self._keys: Sequence[TokenKey] = ()
        self._fetched_at = self._tried_at = 0.0
        self._flight: asyncio.Task[None] | None = None

    async def candidates(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """Give the key of this name; to a token that names none, the only key of its algorithm.

        Raises:
            AuthingUnavailable: there are no keys, and none can be had.
        """
        if self._should_fetch(kid):
            await self._fetch_with_others()
        if not self._keys:
            raise AuthingUnavailable("jwks_unavailable")
        suitable = [key for key in self._keys if key.algorithm == algorithm]
        if kid is not None:
            return [key for key in suitable if key.kid == kid]
        return suitable if len(suitable) == 1 else ()

    def _should_fetch(self, kid: str | None) -> bool:
        now = self._monotonic()
        if not self._keys:
            return True
        if now - self._tried_at < COOLDOWN:
            return False
        is_unknown = kid is not None and all(key.kid != kid for key in self._keys)
        return is_unknown or now - self._fetched_at >= LIFETIME

    async def _fetch_with_others(self) -> None:
        if self._flight is None:
            self._flight = asyncio.create_task(self._fetch())
        # Shielded, so that a login that is given up does not take the keys from the others.
        await asyncio.shield(self._flight)

    async def _fetch(self) -> None:
        try:
            self._keys = await self._download()
            self._fetched_at = self._monotonic()
        except AuthingError as error:
            _log.warning("jwks fetch failed: %s", error.outcome)
        finally:
            self._tried_at = self._monotonic()
            self._flight = None

    async def _download(self) -> Sequence[TokenKey]:
        async with within(self._deadline), ask(self._http, "GET", self._url) as response:
            if response.status_code != _OK:
                raise AuthingBadAnswer("bad_status")
            return read_jwk_set(await read_json(response))
