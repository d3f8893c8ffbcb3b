"""The token in Authing's answer, from an unverified string to signed claims.

The configured keys decide about the algorithm, never the token. Two generations of token are
known: the legacy one carries `data` with the user and the pool and has no `iss` or `aud`; the
later one is an OpenID Connect ID token. Knows keys and the time as ports, and no HTTP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from app.authing.keys import TokenKey, TokenKeys
from app.errors import AuthingTokenInvalid
from app.jose.jws import InvalidJws, instant, unverified_header, verified_claims
from app.sessions.ports import Clock

LEEWAY = timedelta(seconds=30)
"""How far Authing's clock and ours may be apart."""

_LONGEST_LIFE = timedelta(days=3653)
_HEADER_MEMBERS = frozenset({"alg", "typ", "kid"})


@dataclass(frozen=True, slots=True)
class SignedClaims:
    """What a token says whose signature and times are good and which was made for us.

    `issued_at` is never in the future. The pool or the audience is not told: it is ours.
    """

    user_id: str
    unionid: str | None = field(repr=False)
    issued_at: datetime
    expires_at: datetime


class Verifier(Protocol):
    """Decides whether Authing made a token, for us, now."""

    async def verify(self, unverified_token: str) -> SignedClaims:
        """Verify the token.

        Raises:
            AuthingTokenInvalid: it is not good.
            AuthingUnavailable: what the decision needs cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class ExpectedAudience:
    """Who we are to Authing, as its token must name us; what is None may be anything.

    A token without `data` names no pool: it is accepted only if issuer and audience are both given.
    """

    user_pool_id: str
    issuer: str | None = None
    audience: str | None = None


class LocalVerifier:
    """Verifies with keys at hand. `max_age` bounds the age of the token's `iat`; zero does not."""

    def __init__(
        self, keys: TokenKeys, recipient: ExpectedAudience, *, max_age: timedelta, clock: Clock
    ) -> None:
        self._keys = keys
        self._recipient = recipient
        self._max_age = max_age or timedelta.max
        self._clock = clock

    async def verify(self, unverified_token: str) -> SignedClaims:
        """See Verifier."""
        try:
            algorithm, kid = _unverified_choice(unverified_token)
            keys = await self._keys.candidates(algorithm, kid)
            claims = _verified_by_one_of(keys, unverified_token)
            issued_at, expires_at = self._checked_times(claims)
            _check_recipient(claims, self._recipient)
            return SignedClaims(_user_id(claims), _unionid(claims), issued_at, expires_at)
        except InvalidJws as error:
            raise AuthingTokenInvalid("bad_token") from error

    def _checked_times(self, claims: Mapping[str, Any]) -> tuple[datetime, datetime]:
        now = self._clock()
        issued_at, expires_at = instant(claims, "iat"), instant(claims, "exp")
        not_before = instant(claims, "nbf") if "nbf" in claims else issued_at
        _require(max(issued_at, not_before) - LEEWAY <= now)
        _require(now - LEEWAY < expires_at)
        _require(timedelta() < expires_at - issued_at <= _LONGEST_LIFE)
        _require(now - issued_at <= self._max_age)
        return min(issued_at, now.replace(microsecond=0)), expires_at


def _unverified_choice(unverified_token: str) -> tuple[str, str | None]:
    header = unverified_header(unverified_token, allowed=_HEADER_MEMBERS)
    kind, kid = header.get("typ", "JWT"), header.get("kid")
    # Never `at+jwt`: an access token of ours proves nothing about Authing.
    _require(isinstance(kind, str) and kind.upper() == "JWT")
    _require(isinstance(kid, str | None))
    return header["alg"], kid


def _verified_by_one_of(keys: Sequence[TokenKey], token: str) -> Mapping[str, Any]:
    refusal = InvalidJws()
    for key in keys:
        try:
            return verified_claims(token, key.material, key.algorithm)
        except InvalidJws as error:
            refusal = error
    raise refusal


def _check_recipient(claims: Mapping[str, Any], recipient: ExpectedAudience) -> None:
    issuer, audience = recipient.issuer, recipient.audience
    _require(issuer in (None, claims.get("iss")))
    # A list only if we are alone in it: what is for several, one of them could pass on to us.
    _require(audience is None or claims.get("aud") in (audience, [audience]))
    if "data" in claims:
        pool = _agreed(_data(claims), "clientId", "userPoolId")
        _require(pool == recipient.user_pool_id)
    else:
        _require(issuer is not None and audience is not None)


def _user_id(claims: Mapping[str, Any]) -> str:
    named = {**_data(claims), "sub": claims.get("sub")}
    return _agreed(named, "id", "_id", "userId", "sub")


def _unionid(claims: Mapping[str, Any]) -> str | None:
    unionid = _data(claims).get("unionid")
    _require(isinstance(unionid, str | None))
    return unionid or None


def _data(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    data: Mapping[str, Any] = claims.get("data", {})
    _require(isinstance(data, dict))
    return data


def _agreed(members: Mapping[str, Any], *names: str) -> str:
    """Read one fact that has several names: all that are there must be equal texts."""
    found = [members[name] for name in names if members.get(name) is not None]
    _require(len(found) > 0 and isinstance(found[0], str) and found[0] != "")
    _require(all(value == found[0] for value in found))
    return str(found[0])


def _require(condition: object) -> None:
    if not condition:
        raise InvalidJws
