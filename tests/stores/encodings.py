"""Copies of stores, searched for secrets in any encoding."""

from collections.abc import Iterator

from tests.support.leaks import encodings

_WINDOW = 6


def spellings(secret: str | bytes) -> Iterator[bytes]:
    """The secret in plain, in hex, and in base64."""
    plain = secret.encode() if isinstance(secret, str) else secret
    yield plain
    yield from (text.encode() for _form, text in encodings(plain))


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
