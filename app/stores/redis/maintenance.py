"""Checks that the server is fit to keep sessions, and that it accepts writes."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from typing_extensions import override

from app.errors import StartupError, StoreUnavailable
from app.events import Events
from app.sessions.ports import Maintenance
from app.stores.redis.codec import WRITABLE
from app.stores.redis.engine import RedisEngine

_OLDEST = (6, 2)
_WRITABLE_SECONDS = 60


class RedisMaintenance(Maintenance):
    """Checks the server once, and whether it can be written now. Deletes nothing itself."""

    def __init__(self, engine: RedisEngine, events: Events) -> None:
        self._engine = engine
        self._events = events
        self._checked = False

    async def check_server(self) -> None:
        """Check once whether the server is fit to keep sessions.

        Raises:
            StartupError: it is not; one line that says what to change.
            StoreUnavailable: it cannot be asked.
        """
        check_server_info(await self._engine.describe(), self._events)
        self._checked = True

    @override
    async def purge(self, now: datetime) -> int:
        return 0  # every key has a time to live

    @override
    async def check_writable(self) -> None:
        if not self._checked:  # it could not be reached at the start
            try:
                await self.check_server()
            except StartupError as error:
                raise StoreUnavailable from error
        await self._engine.execute("SET", WRITABLE, 1, "EX", _WRITABLE_SECONDS)


def check_server_info(info: Mapping[str, Any], events: Events) -> None:
    """Check what the master says about itself (INFO).

    Without an append-only file, acknowledged writes are lost when the server dies; this is
    recorded.

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
