"""The keys of a key file, as the service reads them."""

from pathlib import Path

from app.jose.key_ring import KeyRing


def read_keys(path: Path) -> KeyRing:
    return KeyRing.from_jwk_set(path.read_bytes())
