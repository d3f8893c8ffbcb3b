"""The stores that the contract is held against. A new one is one more entry here.

A factory gets an empty folder and gives an open store. The tests in `contract` know the port only.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from app.sessions.ports import SessionStore
from app.stores.sqlite import SqliteStore
from tests.stores.restarting import RestartingStore
from tests.support.fake_store import FakeStore

StoreFactory: TypeAlias = Callable[[Path], AbstractAsyncContextManager[SessionStore]]


@asynccontextmanager
async def fake(_folder: Path) -> AsyncIterator[SessionStore]:
    yield FakeStore()


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[SessionStore]:
    store = SqliteStore(folder / "sessions.db")
    try:
        yield store
    finally:
        store.close()


@asynccontextmanager
async def sqlite_restarting(folder: Path) -> AsyncIterator[SessionStore]:
    yield RestartingStore(lambda: SqliteStore(folder / "sessions.db"))


FACTORIES: dict[str, StoreFactory] = {
    "fake": fake,
    "sqlite": sqlite,
    "sqlite-restarting": sqlite_restarting,
}

SERVERS = {
    "valkey": "valkey",
    "valkey-cluster": "valkey_cluster",
    "valkey-sentinels": "valkey_sentinels",
}
"""The stores behind real servers, by the fixture that starts them."""
