"""Opens stores on real servers, and measures how long they take to recover."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from app.sessions.ports import TOMBSTONE_TTL, Stores
from app.store_url import RedisUrl, parse_store_url
from app.stores.redis import open_redis_store
from app.stores.redis.engine import MAX_CONCURRENT, TIMEOUT, RedisEngine
from app.stores.redis.maintenance import RedisMaintenance
from tests.stores.steps import fails, touch
from tests.support.fakes import RecordedEvents
from tests.support.valkey.proxy import Proxy

PATIENCE = 30.0
"""Seconds for a command, where a test is not about time and the machine may be busy."""
RECOVERY = 5.0
"""Seconds within which a store works again after its server does."""


def fields_of(events: RecordedEvents, name: str) -> list[str]:
    """The fields of each event of this name, as one text."""
    return [
        " ".join(map(str, fields.values())) for event, _, fields in events.entries if event == name
    ]


@asynccontextmanager
async def opened(
    url: str,
    events: RecordedEvents | None = None,
    *,
    ca_file: Path | None = None,
    sentinel_password: str | None = None,
    command_timeout: float = TIMEOUT,
    feed_ttl: timedelta = TOMBSTONE_TTL,
) -> AsyncIterator[Stores]:
    address = parse_store_url(url)
    assert isinstance(address, RedisUrl)
    recorded = events if events is not None else RecordedEvents()
    address = replace(address, ca_file=ca_file, sentinel_password=sentinel_password)
    async with open_redis_store(address, recorded, command_timeout, feed_ttl) as store:
        yield store


def engine_of(store: Stores) -> RedisEngine:
    assert isinstance(store.maintenance, RedisMaintenance)
    return store.maintenance.engine


async def leaks_no_connection(store: Stores, proxy: Proxy) -> None:
    """Check that no connection is open but those that are ready for the next command."""
    idle = len(engine_of(store)._connections._idle)
    assert idle <= MAX_CONCURRENT
    await asyncio.to_thread(proxy.wait_until, lambda: proxy.open == idle)


async def seconds_until_it_works(store: Stores) -> float:
    begun = time.monotonic()
    while await fails(touch(0)(store)):
        assert time.monotonic() - begun < 2 * RECOVERY, "it does not recover"
    return time.monotonic() - begun
