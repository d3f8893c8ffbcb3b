"""A store behind a faulty network, another instance with a good one, and a server to be changed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
import uvloop

from app.sessions.ports import Stores
from tests.stores.redis.opening import PATIENCE, opened
from tests.support.fakes import RecordedEvents
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server, standalone

LoopFactories: TypeAlias = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]
LOOPS: LoopFactories = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(item: pytest.Item) -> LoopFactories:
    """Offer uvloop to tests that name it. It has its own clock and errors, and the service runs
    on it where it can.
    """
    marker = item.get_closest_marker("asyncio")
    named = marker is not None and "loop_factories" in marker.kwargs
    return LOOPS if named else {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def events() -> RecordedEvents:
    """What the store has recorded."""
    return RecordedEvents()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own, whose configuration a test may change."""
    with standalone(tmp_path) as own:
        yield own


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
