"""The search for secrets that have got where they do not belong, in whatever disguise."""

import base64
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote

_BEGINNING = 12


def disguises(secret: str) -> Iterator[tuple[str, str]]:
    """Every form in which the secret could stand somewhere, each with its name."""
    data = secret.encode()
    yield "plain", secret
    yield "upper case", secret.upper()
    yield "lower case", secret.lower()
    yield "escaped", json.dumps(secret)[1:-1]
    yield "url-encoded", quote(secret, safe="")
    yield "percent-encoded", "".join(f"%{byte:02X}" for byte in data)
    yield "hex", data.hex()
    yield "hex in capitals", data.hex().upper()
    if len(secret) >= 2 * _BEGINNING:
        yield "beginning", secret[:_BEGINNING]
    for before in range(3):
        # Inside a longer text, the same bytes have three spellings; both ends mix with others'.
        encoded = base64.b64encode(b"\0" * before + data).decode()
        core = encoded[4 if before else 0 : -4]
        yield "base64", core
        yield "base64url", core.replace("+", "-").replace("/", "_")


def found(canaries: Mapping[str, str], text: str) -> set[str]:
    """Which secrets stand in the text, and how."""
    return {
        f"{name}, {form}"
        for name, secret in canaries.items()
        for form, disguise in disguises(secret)
        if disguise in text
    }
