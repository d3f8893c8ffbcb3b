"""The key ring: names, order and the published keys."""

import json
from collections.abc import Callable
from typing import Any

import joserfc.jwk
import pytest

from app.jose.jwk import thumbprint
from tests.sessions.builders import ec_jwk, ed25519_jwk, make_ring, oct_jwk, rsa_jwk

RFC_7638_EXAMPLE = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJ"
    "ECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
    "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4l"
    "Fd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
SIGNING_JWKS = pytest.mark.parametrize(
    ("make", "algorithm"),
    [(ec_jwk, "ES256"), (ed25519_jwk, "EdDSA"), (rsa_jwk, "RS256")],
    ids=["P-256", "Ed25519", "RSA"],
)


# --- names ---


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    assert thumbprint(RFC_7638_EXAMPLE) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("make", [ec_jwk, ed25519_jwk, rsa_jwk, oct_jwk])
def test_another_library_computes_the_same_thumbprint(make: Callable[[], dict[str, Any]]) -> None:
    jwk = make()
    assert thumbprint(jwk) == joserfc.jwk.import_key(jwk).thumbprint()


def test_a_key_is_named_by_its_thumbprint_and_not_by_the_file() -> None:
    signing, secret = ec_jwk(), oct_jwk()
    ring = make_ring({**signing, "kid": "my key"}, {**secret, "kid": "my key"})
    assert ring.signing_key.kid == thumbprint(signing)
    assert ring.current_secret_key.kid == thumbprint(secret)


# --- order ---


def test_the_first_of_each_kind_is_in_use_and_all_are_accepted() -> None:
    jwks = [oct_jwk(), ec_jwk(), ed25519_jwk(), oct_jwk(), rsa_jwk()]
    kids = [thumbprint(jwk) for jwk in jwks]
    ring = make_ring(*jwks)
    assert [key.kid for key in ring.signing_keys] == [kids[1], kids[2], kids[4]]
    assert [key.kid for key in ring.secret_keys] == [kids[0], kids[3]]
    assert (ring.signing_key.kid, ring.current_secret_key.kid) == (kids[1], kids[0])


def test_a_verification_key_is_found_only_by_its_name() -> None:
    ring = make_ring(ec_jwk(), ec_jwk(), oct_jwk())
    for key in ring.signing_keys:
        assert ring.verification_key(key.kid) is key
    kid = ring.signing_key.kid
    for other in ("", "unknown", None, 7, True, [kid], {"kid": kid}):
        assert ring.verification_key(other) is None
    assert ring.verification_key(ring.current_secret_key.kid) is None


def test_the_current_key_replaces_a_retired_secret_key() -> None:
    ring = make_ring(ec_jwk(), oct_jwk(), oct_jwk())
    assert ring.secret_key(ring.secret_keys[1].kid) is ring.secret_keys[1]
    assert ring.secret_key("retired") is ring.secret_keys[0]


# --- the public side ---


@SIGNING_JWKS
def test_each_type_of_key_has_one_algorithm(
    make: Callable[[], dict[str, Any]], algorithm: str
) -> None:
    jwk = make()
    assert make_ring(jwk, oct_jwk()).signing_key.algorithm == algorithm
    assert make_ring({**jwk, "alg": algorithm, "use": "sig"}, oct_jwk()).signing_key.kid


@SIGNING_JWKS
def test_the_published_set_has_no_private_member(
    make: Callable[[], dict[str, Any]], algorithm: str
) -> None:
    private = make()
    [published] = make_ring({**private, "note": "internal"}, oct_jwk()).public_jwks()["keys"]
    assert not PRIVATE_MEMBERS & published.keys()
    assert set(published) == (set(private) - PRIVATE_MEMBERS - {"key_ops"}) | {"kid", "alg", "use"}
    assert (published["alg"], published["use"]) == (algorithm, "sig")
    secrets = {private[name] for name in PRIVATE_MEMBERS & private.keys()}
    assert not any(secret in json.dumps(published) for secret in secrets)


def test_another_library_reads_the_published_set() -> None:
    ring = make_ring(ec_jwk(), ed25519_jwk(), rsa_jwk(), oct_jwk())
    document: Any = json.loads(json.dumps(ring.public_jwks()))
    read = joserfc.jwk.KeySet.import_key_set(document)
    assert [key.thumbprint() for key in read.keys] == [key.kid for key in ring.signing_keys]
    assert not any(key.is_private for key in read.keys)
