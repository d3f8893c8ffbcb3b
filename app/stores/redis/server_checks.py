"""Whether a server is fit to keep sessions: it must forget nothing of its own accord."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.errors import StartupError

_OLDEST = (6, 2)


def inspect(servers: Sequence[Mapping[str, Any]], record: Callable[..., None]) -> None:
    """Judge the masters by what they tell of themselves (INFO).

    Without an append-only file, what was acknowledged is lost with the process; that is recorded.

    Raises:
        StartupError: one is too old, or evicts keys when its memory is full.
    """
    for server in servers:
        version = str(server["redis_version"])
        if _numbers(version) < _OLDEST:
            raise StartupError(f"STORE_URL: Redis {version} is too old; 6.2 or Valkey 7.2 will do")
        policy = server["maxmemory_policy"]
        if policy != "noeviction":
            advice = "set maxmemory-policy noeviction, or sessions get lost"
            raise StartupError(f"STORE_URL: the server evicts keys ({policy}); {advice}")
    if not all(server["aof_enabled"] for server in servers):
        record("store_not_durable", reason="no_append_only_file")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
