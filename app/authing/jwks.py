"""The issuer's public keys: fetched when they are needed, and kept when a later fetch fails.

PyJWT's PyJWKClient would block the event loop. The URL is a setting; nothing in a token changes it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus

from app.authing.response import deadline, read_json, send
from app.authing.transport import Transport
from app.authing.verifier import Algorithm, TokenKey
from app.errors import AuthingBadAnswer, AuthingError, AuthingUnavailable
from app.events import Events
from app.jose.jwk import PRIVATE_MEMBERS, InvalidKey, keys_of, load
from app.jose.strict_json import JsonValue

LIFETIME = 600  # seconds after which the keys are fetched again
COOLDOWN = 30  # minimum seconds between two fetches while there are keys
_ALGORITHMS: Mapping[str, Algorithm] = {"RSA": "RS256", "EC": "ES256"}


@dataclass(slots=True)
class RemoteJwks:
    """The JWK Set (RFC 7517) at a URL, for one event loop. `timeout` of a fetch in seconds.

    Concurrent callers share one fetch. A failed fetch is recorded and keeps the keys.
    """

    transport: Transport
    url: str
    events: Events
    _: KW_ONLY
    timeout: float = 3.0
    monotonic: Callable[[], float] = time.monotonic
    _keys: Sequence[TokenKey] = field(default=(), init=False)
    _fetched_at: float = field(default=0.0, init=False)
    _tried_at: float = field(default=0.0, init=False)
    _flight: asyncio.Task[None] | None = field(default=None, init=False)

    async def candidates(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """Return the keys of this algorithm and name; AuthingUnavailable if there is no key."""
        if self._should_fetch(kid):
            if self._flight is None:
                self._flight = asyncio.create_task(self._fetch())
            # Shielded, so that one cancelled login does not cancel the fetch of the others.
            await asyncio.shield(self._flight)
        if not self._keys:
            raise AuthingUnavailable("jwks_unavailable")
        suitable = [key for key in self._keys if key.algorithm == algorithm]
        if kid is not None:
            return [key for key in suitable if key.kid == kid]
        # A token without a key name is accepted only if there is no choice.
        return suitable if len(suitable) == 1 else ()

    def _should_fetch(self, kid: str | None) -> bool:
        if not self._keys:
            return True
        now = self.monotonic()
        is_unknown = kid is not None and all(key.kid != kid for key in self._keys)
        is_old = now - self._fetched_at >= LIFETIME
        return (is_unknown or is_old) and now - self._tried_at >= COOLDOWN

    async def _fetch(self) -> None:
        try:
            self._keys = await self._download()
            self._fetched_at = self.monotonic()
        except AuthingError as error:
            self.events.record("jwks_fetch_failed", outcome=error.outcome)
        finally:
            self._tried_at = self.monotonic()
            self._flight = None

    async def _download(self) -> Sequence[TokenKey]:
        async with deadline(self.timeout):
            response = await send(self.transport, "GET", self.url)
        if response.status != HTTPStatus.OK:
            raise AuthingBadAnswer("bad_status")
        return read_jwk_set(read_json(response), self.events)


def read_jwk_set(document: JsonValue, events: Events) -> Sequence[TokenKey]:
    """Read the public keys of RS256 and ES256; AuthingBadAnswer if there is none.

    Any other key is recorded and ignored. Keys that share a name are ignored too, because a token
    could mean either.
    """
    keys = []
    for jwk in keys_of(document) or ():
        try:
            keys.append(_token_key(jwk))
        except InvalidKey as error:
            events.record("jwk_ignored", reason=error.reason)
    uses = Counter(key.kid for key in keys if key.kid is not None)
    unique = [key for key in keys if key.kid is None or uses[key.kid] == 1]
    if not unique:
        raise AuthingBadAnswer("bad_shape")
    return unique


def _token_key(jwk: JsonValue) -> TokenKey:
    if not isinstance(jwk, dict):
        raise InvalidKey("a JWK is an object", "not_an_object")
    kid = jwk.get("kid")
    if not isinstance(kid, str | None):
        raise InvalidKey("a kid is a string", "kid")
    algorithm = _ALGORITHMS.get(str(jwk.get("kty")))
    if algorithm is None:
        raise InvalidKey("the key is for another algorithm than RS256 and ES256", "algorithm")
    if not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise InvalidKey("a published key has no private member", "private")
    return TokenKey(algorithm, load(jwk), kid)
