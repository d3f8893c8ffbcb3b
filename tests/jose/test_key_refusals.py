"""A weak, damaged or ambiguous key set is refused with one line that holds no key."""

import re
from collections.abc import Callable
from itertools import count
from math import prod
from typing import Any, TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from app.jose.jwk import InvalidKey
from app.jose.key_ring import KeyRing
from tests.sessions.builders import Jwk, b64, ec_jwk, ed25519_jwk, jwk_set, oct_jwk, rsa_jwk

Make: TypeAlias = Callable[[], Jwk]

SECRETS = {"d", "p", "q", "dp", "dq", "qi", "k"}


def refusal(*keys: Any) -> str:
    with pytest.raises(InvalidKey) as caught:
        KeyRing.from_jwk_set(jwk_set(*keys))
    line = str(caught.value)
    assert "\n" not in line
    values = [str(key.get(name)) for key in keys if isinstance(key, dict) for name in SECRETS]
    assert not any(value in line for value in values if len(value) > 8)
    return line


# --- the document ---

NOT_JSON = (b"", b"not JSON", b'{"keys": [', b"\xff\xfe", b'{"keys": [], "keys": []}', b"[NaN]")
NOT_A_SET = (
    *(b"null", b"[]", b'"keys"', b"{}"),
    *(b'{"keys": %b}' % value for value in (b"null", b"{}", b'"EC"')),
)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        *((text, "not valid JSON") for text in NOT_JSON),
        *((text, "not a JWK Set") for text in NOT_A_SET),
    ],
)
def test_a_document_that_is_not_a_jwk_set_is_refused(text: bytes, rule: str) -> None:
    with pytest.raises(InvalidKey, match=rule):
        KeyRing.from_jwk_set(text)


KEY_TYPES: list[Any] = [None, 7, "ec", "AKP", "", [], {}]


@pytest.mark.parametrize("member", [None, "EC", 7, [], {}, *({"kty": t} for t in KEY_TYPES)])
def test_a_member_of_an_unknown_key_type_is_refused(member: object) -> None:
    assert "not a JWK of type" in refusal(ec_jwk(), oct_jwk(), member)


def test_both_kinds_of_keys_are_needed() -> None:
    assert "no asymmetric key" in refusal()
    assert "no asymmetric key" in refusal(oct_jwk())
    assert "no oct key" in refusal(ec_jwk())


@pytest.mark.parametrize("make", [ec_jwk, ed25519_jwk, rsa_jwk, oct_jwk])
def test_the_same_key_twice_is_refused_even_under_two_names(make: Make) -> None:
    key = make()
    others = (ec_jwk(), oct_jwk())
    assert "twice" in refusal(*others, {**key, "kid": "one"}, {**key, "kid": "two"})


# --- asymmetric keys ---


def roca_jwk() -> Jwk:
    """A private key as the chips of CVE-2017-15361 made them: each prime is k*M + 65537^a mod M."""
    small = [n for n in range(2, 702) if all(n % divisor for divisor in range(2, n))]
    product = prod(small)
    assert len(small) == 126
    p, q = (_roca_prime(product, exponent) for exponent in (12345, 54321))
    private = rsa.rsa_recover_private_exponent(65537, p, q)
    parts = (private % (p - 1), private % (q - 1), rsa.rsa_crt_iqmp(p, q))
    numbers = rsa.RSAPrivateNumbers(p, q, private, *parts, rsa.RSAPublicNumbers(65537, p * q))
    return RSAAlgorithm.to_jwk(numbers.private_key(), as_dict=True)


def _roca_prime(product: int, exponent: int) -> int:
    candidates = count((3 << 1022) // product * product + pow(65537, exponent, product), product)
    return next(n for n in candidates if pow(2, n - 1, n) == 1 and pow(3, n - 1, n) == 1)


WEAK_OR_FOREIGN: dict[str, Make] = {
    "RSA of 1024 bits": lambda: rsa_jwk(1024),
    "P-384": lambda: ec_jwk(ec.SECP384R1()),
    "P-521": lambda: ec_jwk(ec.SECP521R1()),
    "secp256k1": lambda: ec_jwk(ec.SECP256K1()),
    "Ed448": lambda: {"kty": "OKP", "crv": "Ed448", "x": b64(bytes(57)), "d": b64(bytes(57))},
    "X25519": lambda: {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32)), "d": b64(bytes(32))},
    "public P-256": lambda: without(ec_jwk(), "d"),
    "public Ed25519": lambda: without(ed25519_jwk(), "d"),
    "public RSA": lambda: {name: rsa_jwk()[name] for name in ("kty", "n", "e")},
    "P-256 called P-384": lambda: {**ec_jwk(), "crv": "P-384"},
    "P-256, secret of another": lambda: {**ec_jwk(), "d": ec_jwk()["d"]},
    "Ed25519, secret of another": lambda: {**ed25519_jwk(), "d": ed25519_jwk()["d"]},
    "P-256, not on the curve": lambda: {**ec_jwk(), "y": b64(bytes(32))},
    "RSA without a prime": lambda: without(rsa_jwk(), "q"),
    "RSA of an Infineon chip (ROCA)": roca_jwk,
    "RSA with three primes": lambda: {**rsa_jwk(), "oth": [{"r": "AQ", "d": "AQ", "t": "AQ"}]},
}


def without(jwk: Jwk, name: str) -> Jwk:
    return {each: value for each, value in jwk.items() if each != name}


@pytest.mark.parametrize("make", WEAK_OR_FOREIGN.values(), ids=list(WEAK_OR_FOREIGN))
def test_an_asymmetric_key_that_is_weak_or_not_whole_is_refused(make: Make) -> None:
    assert "asymmetric JWK" in refusal(make(), oct_jwk())


def test_rsa_of_2048_bits_is_strong_enough() -> None:
    ring = KeyRing.from_jwk_set(jwk_set(rsa_jwk(2048), oct_jwk()))
    assert ring.signing_key.algorithm == "RS256"


USES: list[Any] = ["enc", "", None, ["sig"]]
OPERATIONS: list[Any] = [["verify"], ["deriveKey"], [], "sign"]
ALGORITHMS: list[Any] = ["none", "HS256", "ES384", "PS256", "es256", None, ["ES256"]]


@pytest.mark.parametrize("make", [ec_jwk, ed25519_jwk, rsa_jwk])
@pytest.mark.parametrize(
    ("purpose", "rule"),
    [
        *(({"use": use}, "another use") for use in USES),
        *(({"key_ops": operations}, "another use") for operations in OPERATIONS),
        *(({"alg": algorithm}, "another algorithm") for algorithm in ALGORITHMS),
    ],
)
def test_a_key_for_another_purpose_is_refused(make: Make, purpose: Jwk, rule: str) -> None:
    assert rule in refusal({**make(), **purpose}, oct_jwk())


PUBLIC_MEMBERS = [
    *((ec_jwk, name) for name in ("crv", "x", "y")),
    *((ed25519_jwk, name) for name in ("crv", "x")),
    *((rsa_jwk, name) for name in ("n", "e")),
]
PRIVATE_MEMBERS = [(ec_jwk, "d"), (ed25519_jwk, "d"), (rsa_jwk, "d"), (rsa_jwk, "p")]


@pytest.mark.parametrize(("make", "name"), [*PUBLIC_MEMBERS, (oct_jwk, "k")])
def test_a_member_that_is_missing_is_named(make: Make, name: str) -> None:
    line = refusal(ec_jwk(), oct_jwk(), without(make(), name))
    assert re.search(rf"lacks its member '{name}'", line)


@pytest.mark.parametrize(("make", "name"), PUBLIC_MEMBERS + PRIVATE_MEMBERS)
@pytest.mark.parametrize("value", ["", "!!!!", "é", 7, None, True, [], {}], ids=repr)
def test_a_member_of_another_kind_is_refused(make: Make, name: str, value: object) -> None:
    assert "JWK" in refusal({**make(), name: value}, oct_jwk())


# --- oct keys ---


@pytest.mark.parametrize("size", [0, 1, 16, 31])
def test_an_oct_key_below_32_bytes_is_refused(size: int) -> None:
    assert "shorter than 32 bytes" in refusal(ec_jwk(), {"kty": "oct", "k": b64(bytes(size))})


NOT_BASE64URL: dict[str, Any] = {
    "cut off": "A" * 45,
    "not ASCII": "é" * 44,
    "a phrase": "spaces are no base64 and no key " * 2,
    "a stray": "A" * 43 + "!",
    "plain base64": "+/" * 22,
    "number": 2**140,
    "list": ["A" * 43],
    "null": None,
}


@pytest.mark.parametrize("value", NOT_BASE64URL.values(), ids=NOT_BASE64URL)
def test_an_oct_key_that_is_not_base64url_is_refused(value: object) -> None:
    assert "JWK" in refusal(ec_jwk(), {"kty": "oct", "k": value})


OCT_PURPOSES: dict[str, list[Any]] = {
    "use": ["sig", "enc", None],
    "alg": ["HS256", "A256GCM", "A256KW", "dir", ""],
    "key_ops": [["sign", "verify"], ["encrypt", "deriveKey"], "x", 7, [{}]],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in OCT_PURPOSES for value in OCT_PURPOSES[name]]
)
def test_an_oct_key_made_for_something_else_is_refused(name: str, value: Any) -> None:
    rule = "an oct JWK is for another use"
    assert rule in refusal(ec_jwk(), {**oct_jwk(), name: value})


def test_an_oct_key_for_deriving_keys_is_accepted() -> None:
    secret = {**oct_jwk(), "key_ops": ["deriveKey", "deriveBits"]}
    assert len(KeyRing.from_jwk_set(jwk_set(ec_jwk(), secret)).secret_keys) == 1


def test_one_secret_in_two_encodings_is_refused() -> None:
    # The four unused bits of the last character make a second name for the same key.
    first, second = "A" * 43, "A" * 42 + "B"
    refusal(ec_jwk(), {"kty": "oct", "k": first}, {"kty": "oct", "k": second})
