"""The bytes of each store, as a thief of a copy sees them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import redis

from tests.support.leaks import encodings
from tests.support.valkey.servers import Server

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


class AtRest(Protocol):
    """One empty store, and its bytes after use."""

    @property
    def url(self) -> str: ...

    def dump(self) -> Dump: ...


class Files:
    """A SQLite database with all the files beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"sqlite:///{folder / 'sessions.db'}"

    def dump(self) -> Dump:
        return Dump(b"\n".join(file.read_bytes() for file in sorted(self._folder.iterdir())))


class Keys:
    """All keys of one server, with their values."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self._client = redis.Redis(port=server.port)

    def names(self) -> list[bytes]:
        return list(self._client.scan_iter())

    def without_end(self) -> list[bytes]:
        """The names of keys without a time to live."""
        return [name for name in self.names() if self._client.ttl(name) == -1]

    def fields(self, name: bytes) -> list[bytes]:
        """The fields of a hash; empty for any other type."""
        is_hash = self._client.type(name) == b"hash"
        return list(self._client.hkeys(name)) if is_hash else []  # type: ignore[arg-type]  # not awaited

    def dump(self) -> Dump:
        return Dump(b"\n".join(word for name in self.names() for word in self._words(name)))

    def close(self) -> None:
        self._client.close()

    def _words(self, name: bytes) -> Iterator[bytes]:
        yield name
        match self._client.type(name):
            case b"string":
                yield _bytes(self._client.get(name))
            case b"list":
                yield from map(_bytes, self._client.lrange(name, 0, -1))
            case b"zset":
                yield from map(_bytes, self._client.zrange(name, 0, -1))
            case b"stream":
                entries: list[tuple[bytes, Mapping[bytes, bytes]]] = self._client.xrange(name)  # type: ignore[assignment]  # not awaited
                for _, fields in entries:
                    for field in fields.items():
                        yield from field
            case b"hash":
                row: Mapping[bytes, bytes] = self._client.hgetall(name)  # type: ignore[assignment]  # not awaited
                for item in row.items():
                    yield from item
            case other:
                raise AssertionError(f"no reader for the type {other!r}")


def _bytes(word: Any) -> bytes:
    assert isinstance(word, bytes)
    return word
