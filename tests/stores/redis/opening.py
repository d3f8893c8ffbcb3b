"""Stores on real servers, what they record, and how long it takes until they are of use again."""

import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from app.errors import StoreUnavailable
from app.sessions.refresh_tokens import new_session_id
from app.stores.redis import RedisStore, open_redis_store
from tests.stores.builders import NOW

SESSION = new_session_id()
RECOVERY = 5.0
"""Seconds within which a store works again, once the server does."""


class Notes:
    """The events, and the word that came along with each."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def __call__(self, event: str, **labels: str) -> None:
        self.entries.append((event, " ".join(labels.values())))

    def of(self, event: str) -> list[str]:
        return [word for name, word in self.entries if name == event]


@asynccontextmanager
async def opened(
    url: str, notes: Notes | None = None, *, ca_file: Path | None = None
) -> AsyncIterator[RedisStore]:
    async with open_redis_store(url, ca_file=ca_file, record=notes or Notes()) as store:
        yield store


def connections(store: RedisStore) -> tuple[int, int]:
    """How many connections to its one server are idle, and how many in use."""
    client = store._engine._client
    assert isinstance(client, Redis)
    (idle, _), (used, _) = client.connection_pool.get_connection_count()
    return idle, used


async def fails(command: Awaitable[object]) -> bool:
    """Whether it fails as it may. What else goes wrong is raised."""
    try:
        await command
    except StoreUnavailable:
        return True
    return False


async def seconds_until_it_works(store: RedisStore) -> float:
    begun = time.monotonic()
    while await fails(store.sessions.touch(SESSION, 0, NOW)):
        assert time.monotonic() - begun < 2 * RECOVERY, "it does not recover"
    return time.monotonic() - begun
