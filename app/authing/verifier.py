"""The token in Authing's response: from an unverified string to signed claims.

Two generations of tokens are known: the legacy token has `data` with the user and the pool, and no
`iss` or `aud`; the later one is an OpenID Connect ID token. Either a key proves that Authing has
made a token, or Authing itself says so.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from app.authing.response import decisive, loads, request
from app.authing.result import OK, code_of, raise_for_code
from app.authing.transport import Transport
from app.errors import AuthingBadAnswer, AuthingTokenInvalid, TicketRejected
from app.jose.jws import InvalidJws, instant, read
from app.sessions.ports import Clock

Algorithm: TypeAlias = Literal["HS256", "RS256", "ES256"]

LEEWAY = timedelta(seconds=30)  # maximum difference between Authing's clock and ours
_MAX_LIFETIME = timedelta(days=3653)
HEADER_MEMBERS = frozenset({"alg", "typ", "kid"})  # what the header of Authing's token may hold


@dataclass(frozen=True, slots=True)
class SignedClaims:
    """The claims of a verified token. `issued_at` is never in the future."""

    user_id: str
    unionid: str | None = field(repr=False)
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Verifier:
    """Decides whether Authing made a token for us and whether it is valid now.

    `genuine_claims` returns the claims of a token that Authing has made, and checks no value. An
    issuer or audience of None accepts any value, but a token without `data` names no pool: it is
    accepted only if both are given. `max_age` limits the age of `iat`; zero means no limit.
    """

    genuine_claims: Callable[[str], Awaitable[Mapping[str, Any]]]
    _: KW_ONLY
    user_pool_id: str
    issuer: str | None = None
    audience: str | None = None
    max_age: timedelta
    clock: Clock

    async def verify(self, unverified_token: str) -> SignedClaims:
        """Return the claims; AuthingTokenInvalid for a token that is not accepted."""
        try:
            claims = await self.genuine_claims(unverified_token)
            issued_at = self._checked_issue_time(claims)
            data: Mapping[str, Any] = claims.get("data", {})
            _require(isinstance(data, dict))
            unionid = data.get("unionid")
            _require(isinstance(unionid, str | None))
            self._check_audience(claims)
            user_id = _agreed({**data, "sub": claims.get("sub")}, "id", "_id", "userId", "sub")
            return SignedClaims(user_id, unionid or None, issued_at)
        except InvalidJws as error:
            raise AuthingTokenInvalid("bad_token") from error

    def _checked_issue_time(self, claims: Mapping[str, Any]) -> datetime:
        now = self.clock()
        issued_at, expires_at = instant(claims, "iat"), instant(claims, "exp")
        not_before = instant(claims, "nbf") if "nbf" in claims else issued_at
        _require(
            max(issued_at, not_before) - LEEWAY <= now
            and now - LEEWAY < expires_at
            and timedelta() < expires_at - issued_at <= _MAX_LIFETIME
            and (not self.max_age or now - issued_at <= self.max_age)
        )
        return min(issued_at, now.replace(microsecond=0))

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        issuer, audience = self.issuer, self.audience
        _require(issuer in (None, claims.get("iss")))
        # A list must hold only us: any other audience could have passed its token on to us.
        _require(audience is None or claims.get("aud") in (audience, [audience]))
        if "data" in claims:
            _require(_agreed(claims["data"], "clientId", "userPoolId") == self.user_pool_id)
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


# --- signatures ---


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key that may have signed the token, with its only algorithm (RFC 8725 section 3.1)."""

    algorithm: Algorithm
    material: Any = field(repr=False)
    kid: str | None = None


TokenKeys: TypeAlias = Callable[[str, str | None], Awaitable[Sequence[TokenKey]]]
"""Returns the keys to try. Algorithm and `kid` are unverified, and may only narrow the choice."""


def shared_secrets(current: Callable[[], Sequence[str]]) -> TokenKeys:
    """Return HS256 keys, tried in this order: Authing does not document which secret signs.

    `current` returns the secrets in force, which may change while the service runs.
    """

    async def candidates(_algorithm: str, _kid: str | None) -> Sequence[TokenKey]:
        return [TokenKey("HS256", secret.encode()) for secret in current()]

    return candidates


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """Verifies signatures. The keys decide about the algorithm, never the token."""

    keys: TokenKeys

    async def __call__(self, unverified_token: str) -> Mapping[str, Any]:
        """Return the claims of a token with a good signature; their values are not checked."""
        unverified = read(unverified_token, allowed=HEADER_MEMBERS)
        typ, kid = unverified.header.get("typ", "JWT"), unverified.header.get("kid")
        # Never `at+jwt`: one of our own access tokens proves nothing about Authing.
        _require(isinstance(typ, str) and typ.upper() == "JWT")
        _require(isinstance(kid, str | None))
        for key in await self.keys(unverified.header["alg"], kid):
            with suppress(InvalidJws):
                return _claims(unverified.verified_payload(key.material, key.algorithm))
        raise InvalidJws


def _claims(payload: bytes) -> Mapping[str, Any]:
    """Read what Authing has signed. Only claims that are read must have one value.

    An ID token repeats the user's profile, which may hold half an emoji or a key twice. A claim
    with two values is of no type that the verifier accepts.
    """
    try:
        claims: Mapping[str, Any] = loads(payload)
    except AuthingBadAnswer:
        raise InvalidJws from None
    _require(isinstance(claims, dict))
    return claims


# --- Authing's own check, for pools whose signing key is not known ---


@dataclass(frozen=True, slots=True)
class OnlineCheck:
    """Asks Authing whether a token is genuine. The caller sets the deadline of a call.

    `url` ends in the name of the query parameter for the token, which is sent nowhere else. Two
    addresses are known: `/authing/token?access_token` returns `{status, code, token}`, and `token`
    holds the claims. `/api/v2/oidc/validate_token?id_token` returns bare claims, or a code.
    """

    transport: Transport
    url: str

    async def __call__(self, unverified_token: str) -> Mapping[str, Any]:
        """Return the claims of a token that Authing calls genuine; their values are not checked."""
        address, _, parameter = self.url.partition("?")
        token = {parameter: unverified_token}
        reply = await request(self.transport, "GET", address, params=token)
        document = reply.members
        code = code_of(document)
        try:
            raise_for_code(code, reply)
        except TicketRejected:  # any code without a meaning of its own refuses what was sent
            raise AuthingTokenInvalid("bad_token", authing_code=code) from None
        status, claims = decisive(document, "status"), decisive(document, "token")
        if claims is None and not isinstance(status, bool):
            if not document:
                raise AuthingBadAnswer("bad_shape")
            return document
        if status is not True or code != OK or not isinstance(claims, dict):
            raise AuthingTokenInvalid("bad_token")
        return claims
