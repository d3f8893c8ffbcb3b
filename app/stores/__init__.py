"""Where sessions are kept: SQLite for one process, Redis or Valkey for several."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec

from app.errors import StartupError
from app.events import Events
from app.sessions.ports import TOMBSTONE_TTL, Stores
from app.store_url import SqliteUrl, StoreUrl
from app.stores.sqlite import open_sqlite_store


@asynccontextmanager
async def open_store(
    url: StoreUrl, events: Events, events_ttl: timedelta = TOMBSTONE_TTL
) -> AsyncIterator[Stores]:
    """Open the store that STORE_URL names, or raise StartupError; close it at the end.

    Events of sessions are kept for `events_ttl`.
    """
    if isinstance(url, SqliteUrl):
        with open_sqlite_store(url.path, events, events_ttl) as embedded:
            yield embedded
        return
    if find_spec("redis") is None:
        raise StartupError('STORE_URL: Redis needs the extra "redis" of this package')
    from app.stores.redis import open_redis_store  # noqa: PLC0415  # SQLite does without the extra

    async with open_redis_store(url, events, events_ttl=events_ttl) as shared:
        yield shared
