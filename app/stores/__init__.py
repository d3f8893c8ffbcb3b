"""Where sessions are kept: SQLite for one process, Redis or Valkey for several."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from app.errors import StartupError
from app.events import Events
from app.sessions.ports import Stores
from app.store_url import SqliteUrl, StoreUrl
from app.stores.sqlite import open_sqlite_store


@asynccontextmanager
async def open_store(
    url: StoreUrl, *, ca_file: Path | None, events: Events, sentinel_password: str | None = None
) -> AsyncIterator[Stores]:
    """Open the store that STORE_URL names, or raise StartupError; close it at the end."""
    if isinstance(url, SqliteUrl):
        with open_sqlite_store(url.path, events) as embedded:
            yield embedded
        return
    if find_spec("redis") is None:
        raise StartupError('STORE_URL: Redis needs the extra "redis" of this package')
    from app.stores.redis import open_redis_store  # noqa: PLC0415  # SQLite does without the extra

    async with open_redis_store(
        url, ca_file=ca_file, events=events, sentinel_password=sentinel_password
    ) as shared:
        yield shared
