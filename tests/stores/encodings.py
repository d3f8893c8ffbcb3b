"""The ways in which a secret may be written into a file."""

import base64
import binascii
from collections.abc import Iterator

_WINDOW = 6


def spellings(secret: str | bytes) -> Iterator[bytes]:
    """The secret in plain, in hex, and what of it every base64 text around it would contain."""
    plain = secret.encode() if isinstance(secret, str) else secret
    yield plain
    yield binascii.hexlify(plain)
    yield binascii.hexlify(plain).upper()
    for offset in range(3):  # base64 looks different wherever in a group the secret begins
        text = base64.b64encode(bytes(offset) + plain)
        # The first group and the last share bits with what stands beside the secret.
        inner = text[4 if offset else 0 : -4]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


class Dump:
    """The bytes of some files, made ready for many searches."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._beginnings = {content[at : at + _WINDOW] for at in range(len(content))}

    def holds(self, secret: str | bytes) -> bool:
        return any(map(self._has, spellings(secret)))

    def _has(self, spelling: bytes) -> bool:
        assert len(spelling) >= _WINDOW, "too short to be told from chance"
        return spelling[:_WINDOW] in self._beginnings and spelling in self._content
