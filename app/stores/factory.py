"""Which store an address means. Redis' client is only asked for when it is needed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from importlib.util import find_spec
from pathlib import Path

from app.errors import StartupError
from app.sessions.ports import SessionStore
from app.stores.sqlite import SqliteStore


@asynccontextmanager
async def open_store(
    url: str, *, ca_file: Path | None, record: Callable[..., None]
) -> AsyncIterator[SessionStore]:
    """Open the store; close it at the end.

    Raises:
        StartupError: one line that says why it cannot be used.
    """
    if url.startswith("sqlite:"):
        with closing(SqliteStore(Path(url.removeprefix("sqlite:///")))) as embedded:
            yield embedded
        return
    if find_spec("redis") is None:
        raise StartupError('STORE_URL: Redis needs the extra "redis" of this package')
    from app.stores.redis import open_redis_store  # noqa: PLC0415  # SQLite does without the extra

    async with open_redis_store(url, ca_file=ca_file, record=record) as shared:
        yield shared
