"""A store behind a network that can be spoilt, and other instances beside it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from app.stores.redis import RedisStore
from tests.stores.redis.opening import Notes, opened
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server


@pytest.fixture
def notes() -> Notes:
    """What the store has recorded."""
    return Notes()


@pytest.fixture
def proxy(valkey: Server) -> Iterator[Proxy]:
    with Proxy(valkey.port) as between:
        yield between


@pytest.fixture
async def store(proxy: Proxy, notes: Notes) -> AsyncIterator[RedisStore]:
    """An instance on the other side of the proxy."""
    async with opened(proxy.url, notes) as instance:
        yield instance


@pytest.fixture
async def other(valkey: Server) -> AsyncIterator[RedisStore]:
    """Another instance, with a good network."""
    async with opened(valkey.url) as instance:
        yield instance
