"""Makes forged access tokens with the keys of a made-up service."""

from app.jose.key_ring import KeyRing
from tests.forgeries.forge import AccessForge, access_parts
from tests.sessions.builders import (
    AUDIENCE,
    EPOCH,
    ISSUER,
    POOL,
    SESSION_ID,
    SUBJECT,
    ec_jwk,
    ed25519_jwk,
    make_ring,
    oct_jwk,
    rsa_jwk,
)

CLAIMS = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": SUBJECT,
    "sid": SESSION_ID,
    "jti": "3.AAAAAAAAAAAAAAAAAAAAAA",
    "client_id": POOL,
    "iat": EPOCH - 10,
    "exp": EPOCH + 60,
    "auth_time": EPOCH - 100,
}


def _ring() -> KeyRing:
    return make_ring(ec_jwk(), rsa_jwk(), ed25519_jwk(), oct_jwk())


def make_forge() -> AccessForge:
    """A service with a key of every algorithm; ES256 signs."""
    return AccessForge(**access_parts(_ring(), make_ring(), CLAIMS))
