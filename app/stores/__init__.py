"""Where sessions are kept: SQLite for one process, Redis or Valkey for several."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec

from app.errors import StartupError
from app.events import Events
from app.sessions.ports import TOMBSTONE_TTL, HistoryStore, Stores
from app.store_url import SqliteUrl, StoreUrl
from app.stores.sqlite import open_sqlite_history, open_sqlite_store


@asynccontextmanager
async def open_store(
    url: StoreUrl,
    events: Events,
    feed_ttl: timedelta = TOMBSTONE_TTL,
    history_ttl: timedelta = TOMBSTONE_TTL,
) -> AsyncIterator[Stores]:
    """Open the store that STORE_URL names, or raise StartupError; close it at the end.

    The feed keeps an ended session for `feed_ttl`; the history outlives it by `history_ttl`.
    """
    if isinstance(url, SqliteUrl):
        with open_sqlite_store(url.path, events, feed_ttl, history_ttl) as stores:
            yield stores
        return
    if find_spec("redis") is None:
        raise StartupError('STORE_URL: Redis needs the extra "redis" of this package')
    from app.stores.redis import open_redis_store  # noqa: PLC0415  # SQLite does without the extra

    async with open_redis_store(url, events, feed_ttl=feed_ttl, history_ttl=history_ttl) as stores:
        yield stores


@asynccontextmanager
async def open_history(url: StoreUrl, events: Events) -> AsyncIterator[HistoryStore]:
    """Open the history to read, or raise StartupError. A running service may use the store."""
    if isinstance(url, SqliteUrl):
        with open_sqlite_history(url.path) as history:
            yield history
    else:
        async with open_store(url, events) as stores:
            yield stores.history
