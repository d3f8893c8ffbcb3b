"""The stores that the contract is tested against. A new one is one more entry here.

A factory gets an empty folder and gives an open store. The tests in `contract` know the ports only.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from app.sessions.ports import Stores
from app.stores.sqlite import open_sqlite_store
from tests.stores.restarting import restarting

StoreFactory: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Stores]]


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Stores]:
    with open_sqlite_store(folder / "sessions.db") as stores:
        yield stores


@asynccontextmanager
async def sqlite_restarting(folder: Path) -> AsyncIterator[Stores]:
    yield restarting(lambda: open_sqlite_store(folder / "sessions.db"))


FACTORIES: dict[str, StoreFactory] = {"sqlite": sqlite, "sqlite-restarting": sqlite_restarting}

SERVERS = {"valkey": "valkey", "valkey-sentinels": "valkey_sentinels"}
"""The stores behind real servers, by the fixture that starts them."""
