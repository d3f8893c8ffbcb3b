"""The table of 116 forged access tokens, by class."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.forgeries import access_signatures, any_jws
from tests.forgeries.attacker import Attacker, claim, claims, header
from tests.forgeries.forge import ABSENT, Forgeries, Table, as_json, signer

# --- the header ---

KID: Forgeries[Attacker] = {
    "kid-traversal": header(kid="../../../../../../etc/hostname"),
    "kid-dev-null": header(kid="/dev/null"),
    "kid-sql": header(kid="' UNION SELECT 'key' --"),
    "kid-shell": header(kid="$(touch made-up) | id"),
    "kid-empty": header(kid=""),
    "kid-unknown": header(kid="A" * 43),
    "kid-integer": header(kid=7),
    "kid-list": lambda attacker: attacker.token(header={"kid": [attacker.key.kid]}),
    "kid-10-kb": header(kid="k" * 10_000),
    "kid-retired": lambda attacker: attacker.token(
        header={"kid": attacker.retired.kid}, by=signer(attacker.retired)
    ),
}
ALG: Forgeries[Attacker] = {
    "alg-lower-case": header(alg="es256"),
    "alg-list": header(alg=["ES256"]),
    "alg-integer": header(alg=256),
    "alg-null": header(alg=None),
    "alg-absent": header(alg=ABSENT),
}
TYP: Forgeries[Attacker] = {
    "typ-jwt": header(typ="JWT"),
    "typ-absent": header(typ=ABSENT),
    "typ-refresh": header(typ="rt+jwt"),
    "typ-padded": header(typ=" at+jwt"),
}

# --- the claims ---

EXP: Forgeries[Attacker] = {
    "exp-absent": claims(exp=ABSENT),
    "exp-past": lambda attacker: attacker.token(
        claims={"iat": attacker.now - 600, "exp": attacker.now}
    ),
    "exp-float": claim("exp", float),
    "exp-text": claim("exp", str),
    "exp-null": claims(exp=None),
    "exp-bool": claims(exp=True),
    "exp-negative": claims(exp=-1),
    "exp-nan": lambda attacker: attacker.raw_claim("exp", "NaN"),
    "exp-1e400": lambda attacker: attacker.raw_claim("exp", "1e400"),
    "exp-beyond-the-longest-life": claim("exp", lambda exp: exp + 1),
}
TOO_EARLY: Forgeries[Attacker] = {
    "nbf-future": lambda attacker: attacker.token(claims={"nbf": attacker.now + 31}),
    "iat-future": claim("iat", lambda iat: iat + 31),
}
ISS: Forgeries[Attacker] = {
    "iss-wrong": claims(iss="https://evil.test"),
    "iss-substring": claim("iss", lambda iss: iss[:-1]),
    "iss-list": claim("iss", lambda iss: [iss]),
    "iss-absent": claims(iss=ABSENT),
}
AUD: Forgeries[Attacker] = {
    "aud-wrong": claims(aud="https://evil.test"),
    "aud-absent": claims(aud=ABSENT),
    "aud-extra": claim("aud", lambda aud: [aud, "https://evil.test"]),
    "aud-substring": claim("aud", lambda aud: aud[:-1]),
}
WHO: Forgeries[Attacker] = {
    "sub-absent": claims(sub=ABSENT),
    "sub-of-another-user": lambda attacker: attacker.token(claims={"sub": attacker.other_subject}),
    "jti-absent": claims(jti=ABSENT),
    "jti-of-another-form": claims(jti="7f000001-0000-4000-8000-000000000000"),
    "sid-unknown": claims(sid="A" * 22),
    "sid-revoked": lambda attacker: attacker.token(claims={"sid": attacker.revoked_session}),
}


def twice(members: Mapping[str, Any], name: str) -> bytes:
    """A JSON object in which one member occurs twice, with the same value."""
    return as_json(members)[:-1] + b", " + as_json({name: members[name]})[1:]


DUPLICATE: Forgeries[Attacker] = {
    "duplicate-header-member": lambda attacker: attacker.token(
        header=twice(attacker.header, "alg")
    ),
    "duplicate-claim": lambda attacker: attacker.token(claims=twice(attacker.claims, "sub")),
}

# --- the whole ---

SIZE: Forgeries[Attacker] = {
    "8-kib-of-noise": lambda _: "A" * 8192,
    "8-kib-in-three-parts": lambda _: ".".join(["A" * 2728] * 3),
    "1-mib-of-noise": lambda _: "A" * 1_048_576,
    "claims-nine-levels-deep": lambda attacker: attacker.raw_claim("deep", "[" * 8 + "]" * 8),
}


def other_environment(attacker: Attacker) -> str:
    return attacker.token(header={"kid": attacker.own_jwk["kid"]}, by=attacker.own_sign)


def other_service(attacker: Attacker) -> str:
    elsewhere = {"iss": "https://other.example", "aud": "https://other.example"}
    return other_environment(replace(attacker, claims={**attacker.claims, **elsewhere}))


ANOTHER_KIND: Forgeries[Attacker] = {
    "refresh-token": lambda attacker: attacker.refresh_token,
    "ticket": lambda attacker: attacker.ticket,
    "authing-token": lambda attacker: attacker.authing_token,
    "other-service": other_service,
    "other-environment": other_environment,
    "other-environment-under-our-kid": lambda attacker: attacker.token(by=attacker.own_sign),
}

TABLE: Table[Attacker] = {
    "alg none in 5 spellings and 2 forms": any_jws.ALG_NONE,
    "missing, empty, garbage": access_signatures.MISSING,
    "null, stripped, truncated, bit-flipped signature": any_jws.SIGNATURE,
    "blank HMAC key": any_jws.HMAC_BLANK,
    "public key as HMAC secret": access_signatures.PUBLIC_KEY_AS_SECRET,
    "jwk, jku, x5u, x5c": any_jws.KEY_IN_HEADER,
    "kid": KID,
    "crit, b64": any_jws.CRIT,
    "other asymmetric algorithm with own key": access_signatures.OTHER_ALGORITHM,
    "alg": ALG,
    "r, s, DER": access_signatures.ECDSA,
    "not a compact JWS of claims": any_jws.NOT_COMPACT,
    "typ": TYP,
    "exp": EXP,
    "nbf, iat in the future": TOO_EARLY,
    "iss": ISS,
    "aud": AUD,
    "sub, jti, sid": WHO,
    "duplicate member": DUPLICATE,
    "spelling": any_jws.SPELLING,
    "size and depth": SIZE,
    "another kind of credential": ANOTHER_KIND,
}
