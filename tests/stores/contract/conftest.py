"""Every test of this folder runs against every store."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.sessions.ports import Stores
from tests.stores.factories import FACTORIES, SERVERS, StoreFactory
from tests.stores.redis_clock import timed_redis_store

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a private folder is made inside


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory if possible, because the contract does not depend on fsync."""
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="ticketgate-", dir=parent) as name:
        yield Path(name)


TOPOLOGIES = [*FACTORIES, "valkey", pytest.param("valkey-sentinels", marks=pytest.mark.long)]


@pytest.fixture(params=TOPOLOGIES)
def factory(request: pytest.FixtureRequest) -> StoreFactory:
    if request.param in SERVERS:
        server = request.getfixturevalue(SERVERS[request.param])
        return lambda _folder: timed_redis_store(server)
    return FACTORIES[request.param]


@pytest.fixture
async def store(factory: StoreFactory, folder: Path) -> AsyncIterator[Stores]:
    async with factory(folder) as opened:
        yield opened
