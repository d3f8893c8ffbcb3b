"""The search for secrets that have got where they do not belong, in whatever disguise."""

import base64
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote

FORMS = (
    "raw",
    "url-encoded",
    "base64",
    "base64url",
    "hex",
    "json-escaped",
    "upper-or-lower-case",
    "beginning",
)
_BEGINNING = 12


def disguises(secret: str) -> Iterator[tuple[str, str]]:
    """Every text in which the secret could stand somewhere, each with the name of its form."""
    data = secret.encode()
    yield "raw", secret
    yield "upper-or-lower-case", secret.upper()
    yield "upper-or-lower-case", secret.lower()
    yield "json-escaped", json.dumps(secret)[1:-1]
    yield "json-escaped", "".join(f"\\u{ord(character):04x}" for character in secret)
    yield "url-encoded", quote(secret, safe="")
    yield "url-encoded", "".join(f"%{byte:02X}" for byte in data)
    yield "hex", data.hex()
    yield "hex", data.hex().upper()
    yield "beginning", secret[:_BEGINNING]
    for before in range(3):
        # Inside a longer text, the same bytes have three spellings; both ends mix with others'.
        encoded = base64.b64encode(b"\0" * before + data).decode()
        core = encoded[4 if before else 0 : -4]
        yield "base64", core
        yield "base64url", core.replace("+", "-").replace("/", "_")


def searched(canaries: Mapping[str, str]) -> set[str]:
    """What `found` looks for, by name: `canary-form`."""
    return {f"{name}-{form}" for name, secret in canaries.items() for form, _ in disguises(secret)}


def found(canaries: Mapping[str, str], text: str) -> set[str]:
    """Which secrets stand in the text, and how: `canary-form`."""
    return {
        f"{name}-{form}"
        for name, secret in canaries.items()
        for form, disguise in disguises(secret)
        if disguise in text
    }
