"""Records connections, name lookups and started programs, by Python's audit events.

A header that names the URL or the file of a key must have no effect.
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
    """Yield a list to which the audit events of the block are added."""
    _install()
    seen: list[str] = []
    _watches.append(seen)
    try:
        yield seen
    finally:
        _watches.remove(seen)


@cache
def _install() -> None:
    sys.addaudithook(_note)  # cannot be removed; without a watch it does nothing


def _note(event: str, _arguments: tuple[Any, ...]) -> None:
    if _watches and event in _REACHING_OUT:
        _watches[-1].append(event)
