"""Checks that the server is fit to keep sessions, and that it accepts writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from redis.exceptions import ResponseError
from typing_extensions import override

from app.errors import StartupError, StoreUnavailable
from app.events import Events
from app.sessions.ports import Maintenance
from app.stores.redis.codec import ERASURE, EVENTS
from app.stores.redis.engine import NO_TIME, RedisEngine

_OLDEST = (6, 2)
_FORMS = {
    "redis_version": r"(\d+)\.(\d+)\b.*",
    "maxmemory_policy": r"noeviction|eviction|(allkeys|volatile)-[a-z]+",
    "aof_enabled": r"[01]",
    "connected_slaves": r"\d+",
}
"""The fields of INFO that are read. Another value says nothing that we know."""
_CLOCK_SKEW = timedelta(seconds=60)
"""An instance whose clock is this much ahead ends a session this much later than the server."""


@dataclass(slots=True)
class RedisMaintenance(Maintenance):
    """Checks the server once, and whether it can be written now. Keys expire by themselves."""

    engine: RedisEngine
    events: Events
    feed_ttl: timedelta
    _checked: bool = field(default=False, init=False)

    async def check_server(self) -> None:
        """Check once whether the server is fit to keep sessions, or raise StartupError."""
        check_server_info(await self.engine.describe(), self.events)
        self._checked = True

    @override
    async def purge(self, now: datetime) -> int:
        seconds, _ = await self.engine.execute("TIME")  # our own clock may be wrong
        oldest = int(1000 * (int(seconds) - (self.feed_ttl + _CLOCK_SKEW).total_seconds()))
        await self.engine.execute("XTRIM", EVENTS, "MINID", max(oldest, 0))
        # The append-only file holds what was erased until the server rewrites it. A rewrite that
        # runs already may have begun before the erasure.
        erasure = await self.engine.execute("GET", ERASURE)
        if erasure is not None:
            info = await self.engine.describe()
            if info.get("aof_rewrite_in_progress") != "1":
                await self._rewrite(erasure, appends=info.get("aof_enabled") != "0")
        return 0

    async def _rewrite(self, erasure: bytes, *, appends: bool) -> None:
        if appends:
            try:
                await self.engine.execute("BGREWRITEAOF")
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, ResponseError):
                    raise
                # It is not permitted. That is recorded, once for an erasure.
        await self.engine.eval_script("rewritten", [], NO_TIME, erasure)

    @override
    async def count_sessions(self, now: datetime) -> int | None:
        count: int | None = await self.engine.eval_script("count", [], now)
        return count

    @override
    async def check_writable(self) -> None:
        if not self._checked:  # it could not be reached at the start
            try:
                await self.check_server()
            except StartupError as error:
                raise StoreUnavailable from error
        await self.engine.eval_script("check_writable", [], NO_TIME)


def check_server_info(info: Mapping[str, object], events: Events) -> None:
    """Check what the master says about itself (INFO).

    Managed editions and proxies leave fields out, or refuse INFO. Each check that is not possible
    is recorded. Without an append-only file, acknowledged writes are lost when the server dies;
    this is recorded too. A server that is too old or evicts keys is a StartupError.
    """
    if not info:
        events.record("store_not_checked", reason="info_refused")
        return
    found = {name: re.fullmatch(form, str(info.get(name))) for name, form in _FORMS.items()}
    for name in [name for name, match in found.items() if match is None]:
        events.record("store_not_checked", reason=name)
    if (version := found["redis_version"]) and (int(version[1]), int(version[2])) < _OLDEST:
        raise StartupError(f"STORE_URL: Redis {version[0]} is too old; 6.2 or Valkey 7.2 will do")
    if (policy := found["maxmemory_policy"]) and policy[0] != "noeviction":
        advice = "set maxmemory-policy noeviction, or sessions get lost"
        raise StartupError(f"STORE_URL: the server evicts keys ({policy[0]}); {advice}")
    if (durable := found["aof_enabled"]) and durable[0] == "0":
        events.record("store_not_durable", reason="no_append_only_file")
