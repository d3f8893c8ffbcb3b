"""The key ring: which key signs, which keys are believed, which bind refresh tokens.

Reads a private JWK Set (RFC 7517) and knows nothing of files. Asymmetric keys sign access tokens:
the first signs, all are published. `oct` keys bind refresh tokens and seal profiles: the first is
current, all are accepted. So a key can be published before it is used and believed after it was
replaced, and no roll-over logs anyone out.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from app.jose.strict_json import StrictJsonError, loads

SigningAlgorithm: TypeAlias = Literal["ES256", "EdDSA", "RS256"]
SIGNING_ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)
PrivateKey: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
PublicKey: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey
Jwk: TypeAlias = Mapping[str, Any]

_MIN_OCT_BYTES = 32
_MIN_RSA_BITS = 2048
_NONCE_BYTES = 12
_THUMBPRINT_MEMBERS = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
    "oct": ("k", "kty"),
}
_KEY_MEMBERS = ("kty", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi", "k")
_LOADERS: Mapping[str, Any] = {"EC": ECAlgorithm, "OKP": OKPAlgorithm, "RSA": RSAAlgorithm}


class KeyRingError(ValueError):
    """The JWK Set is not one that we can work with. The text names the rule, never a key."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An asymmetric key with the one algorithm that it is for (RFC 8725 section 3.1)."""

    kid: str
    algorithm: SigningAlgorithm
    public_jwk: Jwk
    public: PublicKey
    private: PrivateKey = field(repr=False)


class SecretKey:
    """A symmetric key that binds refresh tokens and seals profiles.

    The two uses get keys of their own by HKDF (RFC 5869), so that neither can stand in for the
    other.
    """

    def __init__(self, kid: str, secret: bytes) -> None:
        self.kid = kid
        self._mac_key = _derive(secret, b"ticketgate refresh token v1")
        self._cipher = AESGCM(_derive(secret, b"ticketgate profile v1"))

    def mac(self, message: bytes) -> bytes:
        """HMAC-SHA256 of the message, 32 bytes."""
        return hmac.digest(self._mac_key, message, "sha256")

    def encrypt(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt (AES-256-GCM, random nonce in front); opens only in the same context."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, context)

    def decrypt(self, sealed: bytes, context: bytes) -> bytes | None:
        """The plaintext, or None when it was sealed by another key or in another context."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            return None


@dataclass(frozen=True)
class KeyRing:
    """All keys in force, in the order of the JWK Set. Never empty on either side."""

    signing_keys: tuple[SigningKey, ...]
    secret_keys: tuple[SecretKey, ...]

    @classmethod
    def from_jwk_set(cls, text: bytes) -> "KeyRing":
        """Read a private JWK Set.

        Raises:
            KeyRingError: not a JWK Set, a weak or unusable key, or one of the two kinds missing.
        """
        keys = jwk_set_members(text)
        kids = [thumbprint(key) for key in keys]
        if len(set(kids)) != len(kids):
            raise KeyRingError("the same key is in the set twice")
        pairs = list(zip(kids, keys, strict=True))
        signing = tuple(_signing_key(kid, key) for kid, key in pairs if key["kty"] != "oct")
        secret = tuple(_secret_key(kid, key) for kid, key in pairs if key["kty"] == "oct")
        if not signing:
            raise KeyRingError("there is no asymmetric key to sign access tokens")
        if not secret:
            raise KeyRingError("there is no oct key to bind refresh tokens")
        return cls(signing, secret)

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs new access tokens."""
        return self.signing_keys[0]

    @property
    def current_secret_key(self) -> SecretKey:
        """The key that binds new refresh tokens and seals new profiles."""
        return self.secret_keys[0]

    def verification_key(self, kid: object) -> SigningKey | None:
        """The key that an access token names, if we have it. `kid` may be anything at all."""
        return next((key for key in self.signing_keys if key.kid == kid), None)

    def secret_key(self, kid: str) -> SecretKey:
        """The binding key of this name, or the current one if that has been retired."""
        return next((key for key in self.secret_keys if key.kid == kid), self.current_secret_key)

    def public_jwks(self) -> dict[str, list[Jwk]]:
        """What `/.well-known/jwks.json` publishes: public members only."""
        return {"keys": [key.public_jwk for key in self.signing_keys]}


def jwk_set_members(text: bytes) -> list[dict[str, Any]]:
    """Take a private JWK Set apart without loading the keys.

    Raises:
        KeyRingError: not a JWK Set of key types that we know.
    """
    try:
        jwk_set = loads(text)
    except StrictJsonError:
        raise KeyRingError("not valid JSON") from None
    keys = jwk_set.get("keys") if isinstance(jwk_set, dict) else None
    if not isinstance(keys, list):
        raise KeyRingError('not a JWK Set: an object with a list "keys" is expected')
    members = [key for key in keys if isinstance(key, dict)]
    if len(members) != len(keys) or not all(_is_jwk(key) for key in members):
        raise KeyRingError("a member is not a JWK of type EC, OKP, RSA or oct")
    return members


def thumbprint(jwk: Jwk) -> str:
    """The key's name: its RFC 7638 thumbprint (SHA-256, base64url)."""
    try:
        required = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    except KeyError as error:
        raise KeyRingError(f"a JWK lacks its member {error}") from None
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _is_jwk(key: Jwk) -> bool:
    # Every member that is part of a key is text (RFC 7518 section 6).
    texts = all(isinstance(key.get(name, ""), str) for name in _KEY_MEMBERS)
    return texts and key.get("kty") in _THUMBPRINT_MEMBERS


def _signing_key(kid: str, jwk: Jwk) -> SigningKey:
    if jwk.get("use", "sig") != "sig":
        raise KeyRingError('an asymmetric JWK is for another use than "sig"')
    try:
        key = _LOADERS[jwk["kty"]].from_jwk(dict(jwk))
    except (InvalidKeyError, ValueError):
        raise KeyRingError("an asymmetric JWK cannot be loaded") from None
    algorithm = _algorithm_for(key)
    if jwk.get("alg", algorithm) != algorithm:
        raise KeyRingError(f"a JWK says another algorithm than {algorithm}, which its type is for")
    public_jwk = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    public_jwk |= {"kid": kid, "alg": algorithm, "use": "sig"}
    return SigningKey(kid, algorithm, public_jwk, key.public_key(), private=key)


def _algorithm_for(key: object) -> SigningAlgorithm:
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    if isinstance(key, Ed25519PrivateKey):
        return "EdDSA"
    if isinstance(key, RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS:
        return "RS256"
    raise KeyRingError("an asymmetric JWK is not a private key of P-256, Ed25519 or RSA >= 2048")


def _secret_key(kid: str, jwk: Jwk) -> SecretKey:
    encoded = jwk["k"]
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars="-_", validate=True)
    except ValueError:
        raise KeyRingError("an oct JWK is not base64url") from None
    if base64.urlsafe_b64encode(secret).rstrip(b"=").decode() != encoded:
        raise KeyRingError("an oct JWK is not canonical base64url")
    if len(secret) < _MIN_OCT_BYTES:
        raise KeyRingError(f"an oct JWK is shorter than {_MIN_OCT_BYTES} bytes")
    return SecretKey(kid, secret)


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)
