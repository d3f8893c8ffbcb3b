"""The bytes of each store, as a thief of a copy sees them."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import redis

from tests.support.leaks import encodings
from tests.support.valkey.servers import Server

_WINDOW = 6


class Dump:
    """The bytes of some files, made ready for many searches."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._beginnings = {content[at : at + _WINDOW] for at in range(len(content))}

    def holds(self, secret: str | bytes) -> bool:
        """Whether they contain the secret in plain, in hex or in base64."""
        plain = secret.encode() if isinstance(secret, str) else secret
        encoded = (text.encode() for _form, text in encodings(plain))
        return any(map(self._has, (plain, *encoded)))

    def _has(self, spelling: bytes) -> bool:
        assert len(spelling) >= _WINDOW, "too short to be told from chance"
        return spelling[:_WINDOW] in self._beginnings and spelling in self._content


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
        command, *more = _READERS[self._client.type(name)]
        yield name
        reply = self._client.execute_command(command, name, *more)  # type: ignore[no-untyped-call]  # the library's gap
        yield from _flat(reply)


_READERS: dict[Any, tuple[str | int, ...]] = {
    b"string": ("GET",),
    b"list": ("LRANGE", 0, -1),
    b"zset": ("ZRANGE", 0, -1),
    b"stream": ("XRANGE", "-", "+"),
    b"hash": ("HGETALL",),
}
"""How to read a key of each type: a command, and what follows the key."""


def _flat(reply: Any) -> Iterator[bytes]:
    if isinstance(reply, bytes):
        yield reply
    else:
        for each in chain(*reply.items()) if isinstance(reply, dict) else reply:
            yield from _flat(each)
