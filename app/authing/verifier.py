"""The token in Authing's response: from an unverified string to signed claims.

The configured keys decide about the algorithm, never the token. Two generations of tokens are
known: the legacy token has `data` with the user and the pool, and no `iss` or `aud`; the later one
is an OpenID Connect ID token. Keys and time come from interfaces; there is no HTTP here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias

from typing_extensions import override

from app.authing.documents import loads
from app.errors import AuthingBadAnswer, AuthingTokenInvalid
from app.jose.jws import InvalidJws, UnverifiedJws, instant, read
from app.sessions.ports import Clock

Algorithm: TypeAlias = Literal["HS256", "RS256", "ES256"]

LEEWAY = timedelta(seconds=30)
"""Maximum difference between Authing's clock and ours."""

_MAX_LIFETIME = timedelta(days=3653)
HEADER_MEMBERS = frozenset({"alg", "typ", "kid"})
"""What the header of Authing's token may hold."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key that may have signed the token, with its only algorithm (RFC 8725 section 3.1)."""

    algorithm: Algorithm
    material: Any = field(repr=False)
    kid: str | None = None


class TokenKeys(Protocol):
    """The source of the keys."""

    async def candidates(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """Return the keys to try; the arguments are unverified and may only narrow the choice.

        Raises:
            AuthingUnavailable: there are no keys and they cannot be fetched.
        """
        ...


class SharedSecretKeys(TokenKeys):
    """HS256 secrets, tried in this order: Authing does not document which secret signs.

    `secrets` returns those in force, which may change while the service runs.
    """

    def __init__(self, secrets: Callable[[], Sequence[str]]) -> None:
        self._secrets = secrets

    @override
    async def candidates(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        return [TokenKey("HS256", secret.encode()) for secret in self._secrets()]


@dataclass(frozen=True, slots=True)
class ExpectedAudience:
    """Names by which a token must say that it is for us; None accepts any value.

    A token without `data` names no pool: it is accepted only if issuer and audience are both given.
    """

    user_pool_id: str
    issuer: str | None = None
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class SignedClaims:
    """The claims of a verified token. `issued_at` is never in the future."""

    user_id: str
    unionid: str | None = field(repr=False)
    issued_at: datetime


class Verifier(ABC):
    """Decides whether Authing made a token for us and whether it is valid now.

    `max_age` limits the age of the token's `iat`; zero means no limit.
    """

    def __init__(self, expected: ExpectedAudience, *, max_age: timedelta, clock: Clock) -> None:
        self._expected = expected
        self._max_age = max_age or timedelta.max
        self._clock = clock

    async def verify(self, unverified_token: str) -> SignedClaims:
        """Return the claims of the token.

        Raises:
            AuthingTokenInvalid: the token is not accepted.
            AuthingError: it cannot be verified now.
        """
        try:
            claims = await self._genuine_claims(unverified_token)
            issued_at = self._checked_issue_time(claims)
            data: Mapping[str, Any] = claims.get("data", {})
            _require(isinstance(data, dict))
            unionid = data.get("unionid")
            _require(isinstance(unionid, str | None))
            _check_audience(claims, self._expected)
            user_id = _agreed({**data, "sub": claims.get("sub")}, "id", "_id", "userId", "sub")
            return SignedClaims(user_id, unionid or None, issued_at)
        except InvalidJws as error:
            raise AuthingTokenInvalid("bad_token") from error

    @abstractmethod
    async def _genuine_claims(self, unverified_token: str) -> Mapping[str, Any]:
        """Return the claims, if Authing has signed the token; their values are not checked."""

    def _checked_issue_time(self, claims: Mapping[str, Any]) -> datetime:
        now = self._clock()
        issued_at, expires_at = instant(claims, "iat"), instant(claims, "exp")
        not_before = instant(claims, "nbf") if "nbf" in claims else issued_at
        _require(
            max(issued_at, not_before) - LEEWAY <= now
            and now - LEEWAY < expires_at
            and timedelta() < expires_at - issued_at <= _MAX_LIFETIME
            and now - issued_at <= self._max_age
        )
        return min(issued_at, now.replace(microsecond=0))


class LocalVerifier(Verifier):
    """Verifies the signature with keys."""

    def __init__(
        self, keys: TokenKeys, expected: ExpectedAudience, *, max_age: timedelta, clock: Clock
    ) -> None:
        super().__init__(expected, max_age=max_age, clock=clock)
        self._keys = keys

    @override
    async def _genuine_claims(self, unverified_token: str) -> Mapping[str, Any]:
        unverified = read(unverified_token, allowed=HEADER_MEMBERS)
        typ, kid = unverified.header.get("typ", "JWT"), unverified.header.get("kid")
        # Never `at+jwt`: one of our own access tokens proves nothing about Authing.
        _require(isinstance(typ, str) and typ.upper() == "JWT")
        _require(isinstance(kid, str | None))
        keys = await self._keys.candidates(unverified.header["alg"], kid)
        return _verified_by_any(keys, unverified)


def _verified_by_any(keys: Sequence[TokenKey], unverified: UnverifiedJws) -> Mapping[str, Any]:
    refusal = InvalidJws()
    for key in keys:
        try:
            return _claims(unverified.verified_payload(key.material, key.algorithm))
        except InvalidJws as error:
            refusal = error
    raise refusal


def _claims(payload: bytes) -> Mapping[str, Any]:
    """Read what Authing has signed. Only claims that are read must have one value.

    An ID token repeats the user's profile, which may hold half an emoji or a key twice. A claim
    with two values is of no type that the checks below accept.
    """
    try:
        claims: Mapping[str, Any] = loads(payload)
    except AuthingBadAnswer:
        raise InvalidJws from None
    _require(isinstance(claims, dict))
    return claims


def _check_audience(claims: Mapping[str, Any], expected: ExpectedAudience) -> None:
    issuer, audience = expected.issuer, expected.audience
    _require(issuer in (None, claims.get("iss")))
    # A list must hold only us: any other audience could have passed its token on to us.
    _require(audience is None or claims.get("aud") in (audience, [audience]))
    if "data" in claims:
        _require(_agreed(claims["data"], "clientId", "userPoolId") == expected.user_pool_id)
    else:
        _require(issuer is not None and audience is not None)


def _agreed(members: Mapping[str, Any], *names: str) -> str:
    """Read one fact that has several names: all values that are present must be equal strings."""
    found = [members[name] for name in names if members.get(name) is not None]
    _require(found and isinstance(found[0], str) and found[0])
    _require(found.count(found[0]) == len(found))
    return str(found[0])


def _require(condition: object) -> None:
    if not condition:
        raise InvalidJws
