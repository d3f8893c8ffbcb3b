"""JSON Web Keys (RFC 7517): which keys are accepted, and their names. Pure.

Used for our own private keys and for an issuer's public ones. A key type has exactly one algorithm
(RFC 8725 section 3.1), which the key decides and no token.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from app.jose.jws import base64url_encode
from app.jose.strict_json import JsonValue

SigningAlgorithm: TypeAlias = Literal["ES256", "EdDSA", "RS256"]
SIGNING_ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)
PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
Jwk: TypeAlias = Mapping[str, Any]

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KEY_MEMBERS = (PRIVATE_MEMBERS - {"oth"}) | {"kty", "crv", "x", "y", "n", "e"}
_REQUIRED_MEMBERS = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
    "oct": ("k", "kty"),
}
ALGORITHMS: Mapping[str, SigningAlgorithm] = {"EC": "ES256", "OKP": "EdDSA", "RSA": "RS256"}
"""The one algorithm of each asymmetric key type."""
_CURVES = {"EC": "P-256", "OKP": "Ed25519"}
_LOADERS: Mapping[str, Any] = {"EC": ECAlgorithm, "OKP": OKPAlgorithm, "RSA": RSAAlgorithm}
_MIN_RSA_BITS = 2048
_ROCA_PRIMES = [n for n in range(3, 168) if all(n % divisor for divisor in range(2, n))]


class InvalidKey(ValueError):
    """A key or a key set is not accepted, or not changed as asked.

    The text is one line that states the rule and holds no part of a key; `reason` is one word for a
    log.
    """

    def __init__(self, rule: str, reason: str = "key_set") -> None:
        super().__init__(rule)
        self.reason = reason


def keys_of(document: JsonValue) -> list[JsonValue] | None:
    """Return the members of a JWK Set (RFC 7517 section 5); None if it is not a JWK Set."""
    keys = document.get("keys") if isinstance(document, dict) else None
    return keys if isinstance(keys, list) else None


def is_jwk(value: object) -> bool:
    """Return whether this is an object of a known key type whose key members are all strings."""
    if not isinstance(value, dict) or not isinstance(value.get("kty"), str):
        return False
    # Every member that is part of a key is a string (RFC 7518 section 6).
    texts = all(isinstance(value.get(name, ""), str) for name in _KEY_MEMBERS)
    return texts and value["kty"] in _REQUIRED_MEMBERS


def required_members(jwk: Jwk) -> dict[str, Any]:
    """Return the members of the public key, or of an `oct` key, or raise InvalidKey."""
    try:
        return {name: jwk[name] for name in _REQUIRED_MEMBERS[jwk["kty"]]}
    except KeyError as error:
        raise InvalidKey(f"a JWK lacks its member {error}", "material") from None


def thumbprint(jwk: Jwk) -> str:
    """Return the key's name, its thumbprint (RFC 7638, SHA-256, base64url), or raise InvalidKey."""
    canonical = json.dumps(required_members(jwk), separators=(",", ":"), sort_keys=True)
    return base64url_encode(hashlib.sha256(canonical.encode()).digest())


def load(jwk: Jwk) -> PrivateKey | PublicKey:
    """Load a key of a type in ALGORITHMS; a private key if the JWK has the member `d`.

    InvalidKey for another use, algorithm or curve, for RSA below 2048 bits or with the fingerprint
    of CVE-2017-15361, and for an invalid key.
    """
    algorithm = ALGORITHMS[jwk["kty"]]
    if jwk.get("alg", algorithm) != algorithm:
        raise InvalidKey(f"a JWK names another algorithm than {algorithm}", "algorithm")
    operations = jwk.get("key_ops")
    operation = "sign" if "d" in jwk else "verify"
    listed = operations is None or (isinstance(operations, list) and operation in operations)
    if jwk.get("use", "sig") != "sig" or not listed:
        raise InvalidKey("an asymmetric JWK is for another use than signatures", "use")
    if jwk["kty"] in _CURVES and jwk.get("crv") != _CURVES[jwk["kty"]]:
        raise InvalidKey("an asymmetric JWK is not of curve P-256 or Ed25519", "curve")
    if not is_jwk(jwk):
        raise InvalidKey("an asymmetric JWK has a member that is not a string", "material")
    try:
        key: PrivateKey | PublicKey = _LOADERS[jwk["kty"]].from_jwk(dict(jwk))
    except (InvalidKeyError, ValueError):
        raise InvalidKey("an asymmetric JWK cannot be loaded", "material") from None
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        _check_rsa(key)
    return key


def _check_rsa(key: rsa.RSAPrivateKey | rsa.RSAPublicKey) -> None:
    if key.key_size < _MIN_RSA_BITS:
        raise InvalidKey(f"an asymmetric JWK is RSA below {_MIN_RSA_BITS} bits", "too_short")
    public = key.public_key() if isinstance(key, rsa.RSAPrivateKey) else key
    modulus = public.public_numbers().n
    # Nemec et al., "The Return of Coppersmith's Attack" (CCS 2017): modulo each small prime, such a
    # modulus is a power of 65537. Another key passes as one with a probability of about 2^-154.
    if all(any(pow(65537, i, p) == modulus % p for i in range(p)) for p in _ROCA_PRIMES):
        raise InvalidKey("an asymmetric JWK is RSA that can be factored (CVE-2017-15361)", "roca")
