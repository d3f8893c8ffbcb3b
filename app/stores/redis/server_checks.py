"""Whether a server can keep sessions: it must not evict keys of its own accord."""

import re
from collections.abc import Mapping
from typing import Any

from app.errors import StartupError
from app.events import Events

_OLDEST = (6, 2)


def check(info: Mapping[str, Any], events: Events) -> None:
    """Check what the master says about itself (INFO).

    Without an append-only file, what was acknowledged is lost with the process; that is recorded.

    Raises:
        StartupError: it is too old, or evicts keys when its memory is full.
    """
    version = str(info["redis_version"])
    if _numbers(version) < _OLDEST:
        raise StartupError(f"STORE_URL: Redis {version} is too old; 6.2 or Valkey 7.2 will do")
    policy = info["maxmemory_policy"]
    if policy != "noeviction":
        advice = "set maxmemory-policy noeviction, or sessions get lost"
        raise StartupError(f"STORE_URL: the server evicts keys ({policy}); {advice}")
    if not info["aof_enabled"]:
        events.record("store_not_durable", reason="no_append_only_file")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
