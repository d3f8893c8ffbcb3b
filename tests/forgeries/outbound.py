"""Notices whoever reaches out: connections, name look-ups and programs, by Python's audit events.

A header that names a key's address or a file must never send us there.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_REACHING_OUT = frozenset(
    {
        "socket.connect",
        "socket.sendto",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "subprocess.Popen",
        "os.system",
        "urllib.Request",
    }
)
_watches: list[list[str]] = []


@contextmanager
def watched() -> Iterator[list[str]]:
    """Give a list that the audit events of the block are written into."""
    _install()
    seen: list[str] = []
    _watches.append(seen)
    try:
        yield seen
    finally:
        _watches.remove(seen)


@cache
def _install() -> None:
    sys.addaudithook(_note)  # cannot be taken out again: without a watch it does nothing


def _note(event: str, _arguments: tuple[Any, ...]) -> None:
    if _watches and event in _REACHING_OUT:
        _watches[-1].append(event)
