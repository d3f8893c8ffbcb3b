"""The search for secrets in texts where they must not stand, in any encoding."""

import base64
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote

FORMS = (
    *("raw", "url-encoded", "base64", "base64url", "hex", "json-escaped"),
    *("upper-or-lower-case", "beginning"),
)
_BEGINNING = 12


def encodings(data: bytes) -> Iterator[tuple[str, str]]:
    """The form and the text of each encoding that may hold these bytes among others."""
    yield "hex", data.hex()
    yield "hex", data.hex().upper()
    for offset in range(3):
        # The text depends on the position within a group of three bytes. The first and the last
        # group mix with the bytes beside it.
        encoded = base64.b64encode(bytes(offset) + data).decode()
        core = encoded[4 if offset else 0 : -4]
        yield "base64", core
        yield "base64url", core.replace("+", "-").replace("/", "_")


def disguises(secret: str) -> Iterator[tuple[str, str]]:
    """The form and the text of each way to write the secret."""
    yield "raw", secret
    yield "upper-or-lower-case", secret.upper()
    yield "upper-or-lower-case", secret.lower()
    yield "json-escaped", json.dumps(secret)[1:-1]
    yield "json-escaped", "".join(f"\\u{ord(character):04x}" for character in secret)
    yield "url-encoded", quote(secret, safe="")
    yield "url-encoded", "".join(f"%{byte:02X}" for byte in secret.encode())
    yield "beginning", secret[:_BEGINNING]
    yield from encodings(secret.encode())


def searched(secrets: Mapping[str, str]) -> set[str]:
    """The pairs `name-form` that `found` looks for."""
    return {f"{name}-{form}" for name, secret in secrets.items() for form, _ in disguises(secret)}


def found(secrets: Mapping[str, str], text: str) -> set[str]:
    """The secrets that stand in the text, in any case of letters, as `name-form`."""
    text = f"{text}\n{text.lower()}"
    return {
        f"{name}-{form}"
        for name, secret in secrets.items()
        for form, disguise in disguises(secret)
        if disguise in text
    }
