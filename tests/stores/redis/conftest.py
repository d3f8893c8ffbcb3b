"""A store behind a faulty network, and another instance with a good one."""

from collections.abc import AsyncIterator, Iterator

import pytest

from app.sessions.ports import Stores
from tests.stores.redis.opening import PATIENCE, opened
from tests.support.fakes import RecordedEvents
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server


@pytest.fixture
def events() -> RecordedEvents:
    """What the store has recorded."""
    return RecordedEvents()


@pytest.fixture
def proxy(valkey: Server) -> Iterator[Proxy]:
    with Proxy(valkey.port) as between:
        yield between


@pytest.fixture
def command_timeout() -> float:
    """Seconds that the store has for a command; a module about time overrides it."""
    return PATIENCE


@pytest.fixture
async def store(
    proxy: Proxy, events: RecordedEvents, command_timeout: float
) -> AsyncIterator[Stores]:
    """An instance on the other side of the proxy."""
    async with opened(proxy.url, events, command_timeout=command_timeout) as instance:
        yield instance


@pytest.fixture
async def other(valkey: Server) -> AsyncIterator[Stores]:
    """Another instance, with a good network."""
    async with opened(valkey.url, command_timeout=PATIENCE) as instance:
        yield instance
