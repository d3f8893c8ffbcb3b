"""The key ring: the keys that sign access tokens, bind refresh tokens and encrypt profiles.

Of a private JWK Set (RFC 7517), the first asymmetric key signs access tokens, and the first `oct`
key binds refresh tokens and encrypts profiles. All are accepted, so no roll-over logs anyone out.
"""

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.jose.jwk import (
    ALGORITHMS,
    InvalidKey,
    Jwk,
    PrivateKey,
    PublicKey,
    SigningAlgorithm,
    is_jwk,
    keys_of,
    load,
    required_members,
    thumbprint,
)
from app.jose.jws import base64url_decode
from app.jose.strict_json import StrictJsonError, loads

_MIN_SECRET_BYTES = 32
_NONCE_BYTES = 12
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An asymmetric key pair with its one algorithm. `public_jwk` holds public members only."""

    kid: str
    algorithm: SigningAlgorithm
    public_jwk: Jwk
    public: PublicKey
    private: PrivateKey = field(repr=False)


class SecretKey:
    """A symmetric key that binds refresh tokens (HMAC) and encrypts profiles (AES-GCM).

    HKDF (RFC 5869) derives a separate key for each use, so that one cannot replace the other.
    """

    def __init__(self, kid: str, secret: bytes) -> None:
        self.kid = kid
        self._mac_key = _derive(secret, b"ticketgate refresh token v1")
        self._pseudonym_key = _derive(secret, b"ticketgate pseudonym v1")
        # A user sends many requests.
        self.pseudonym: Callable[[str], str] = lru_cache(_REMEMBERED)(self._pseudonym)
        self._cipher = AESGCM(_derive(secret, b"ticketgate profile v1"))

    def mac(self, message: bytes) -> bytes:
        """Return the HMAC-SHA256 of the message, 32 bytes."""
        return hmac.digest(self._mac_key, message, "sha256")

    def _pseudonym(self, name: str) -> str:
        """Return 16 hex digits for a name. Without the key, no list of names reverses them."""
        return hmac.digest(self._pseudonym_key, name.encode(errors="replace"), "sha256").hex()[:16]

    def encrypt(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt with AES-256-GCM; the random nonce comes first. `decrypt` needs the context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, context)

    def decrypt(self, encrypted: bytes, context: bytes) -> bytes | None:
        """Return the plaintext; None if another key or another context encrypted it."""
        try:
            return self._cipher.decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            return None


@dataclass(frozen=True)
class KeyRing:
    """All keys in force, in the order of the JWK Set; at least one of each kind."""

    signing_keys: tuple[SigningKey, ...]
    secret_keys: tuple[SecretKey, ...]

    @classmethod
    def from_jwk_set(cls, text: bytes) -> "KeyRing":
        """Read a private JWK Set, or raise InvalidKey."""
        jwks = jwk_set_members(text)
        signing = tuple(_signing_key(jwk) for jwk in jwks if jwk["kty"] != "oct")
        secret = tuple(_secret_key(jwk) for jwk in jwks if jwk["kty"] == "oct")
        if not signing:
            raise InvalidKey("there is no asymmetric key to sign access tokens", "no_signing_key")
        if not secret:
            raise InvalidKey("there is no oct key to bind refresh tokens", "no_secret_key")
        if len({key.kid for key in signing + secret}) != len(jwks):
            raise InvalidKey("the same key is in the set twice", "duplicate")
        return cls(signing, secret)

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs new access tokens."""
        return self.signing_keys[0]

    @property
    def current_secret_key(self) -> SecretKey:
        """The key that binds new refresh tokens and encrypts new profiles."""
        return self.secret_keys[0]

    def verification_key(self, kid: object) -> SigningKey | None:
        """Return the key that a token's `kid` names, or None. `kid` may be of any type."""
        return next((key for key in self.signing_keys if key.kid == kid), None)

    def secret_key(self, kid: str) -> SecretKey:
        """Return the secret key of this name; the current one if that has been retired."""
        return next((key for key in self.secret_keys if key.kid == kid), self.current_secret_key)

    def public_jwks(self) -> dict[str, list[Jwk]]:
        """Return the JWK Set that is published: public members only."""
        return {"keys": [key.public_jwk for key in self.signing_keys]}


def jwk_set_members(text: bytes) -> list[dict[str, Any]]:
    """Split a private JWK Set into members of known key types, or raise InvalidKey."""
    try:
        keys = keys_of(loads(text))
    except StrictJsonError:
        raise InvalidKey("not valid JSON", "json") from None
    if keys is None:
        raise InvalidKey('not a JWK Set: an object with a list "keys" is expected')
    members = [key for key in keys if isinstance(key, dict) and is_jwk(key)]
    if len(members) != len(keys):
        raise InvalidKey("a member is not a JWK of type EC, OKP, RSA or oct", "key_type")
    return members


def _signing_key(jwk: Jwk) -> SigningKey:
    kid, private, algorithm = thumbprint(jwk), load(jwk), ALGORITHMS[jwk["kty"]]
    if not isinstance(private, PrivateKey):
        raise InvalidKey("an asymmetric JWK is not a private key", "not_private")
    public_jwk = {**required_members(jwk), "kid": kid, "alg": algorithm, "use": "sig"}
    return SigningKey(kid, algorithm, public_jwk, private.public_key(), private)


def _secret_key(jwk: Jwk) -> SecretKey:
    kid = thumbprint(jwk)
    # HKDF derives our keys from it (RFC 7517 section 4.3). A key with another purpose may be known
    # to another program, which could forge refresh tokens with it.
    operations = jwk.get("key_ops", [])
    derives = isinstance(operations, list) and all(
        operation in ("deriveKey", "deriveBits") for operation in operations
    )
    if not derives or "use" in jwk or "alg" in jwk:
        raise InvalidKey("an oct JWK is for another use: it has use, alg or key_ops", "use")
    try:
        secret = base64url_decode(jwk["k"])
    except ValueError:
        raise InvalidKey("an oct JWK is not canonical base64url", "material") from None
    if len(secret) < _MIN_SECRET_BYTES:
        raise InvalidKey(f"an oct JWK is shorter than {_MIN_SECRET_BYTES} bytes", "too_short")
    return SecretKey(kid, secret)


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)
