"""The stores that the contract is tested against. A new one is one more entry here.

A factory gets an empty folder and gives an open store. The tests in `contract` know the ports only.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

from app.sessions.ports import Stores
from app.stores.sqlite import open_sqlite_store

StoreFactory: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Stores]]
OpenStore: TypeAlias = Callable[[], AbstractContextManager[Stores]]


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


class _Restarting:
    """Opens a store for each command, as after a restart. Overlapping ones share one opening."""

    def __init__(self, open_store: OpenStore) -> None:
        self._open_store, self._stack, self._users = open_store, ExitStack(), 0

    @contextmanager
    def opened(self) -> Iterator[Stores]:
        if self._users == 0:
            self._stores = self._stack.enter_context(self._open_store())
        self._users += 1
        try:
            yield self._stores
        finally:
            self._users -= 1
            if self._users == 0:
                self._stack.close()


class _Port:
    def __init__(self, store: _Restarting, name: str) -> None:
        self._store, self._name = store, name

    def __getattr__(self, command: str) -> Any:
        async def run(*args: Any, **kwargs: Any) -> Any:
            with self._store.opened() as stores:
                return await getattr(getattr(stores, self._name), command)(*args, **kwargs)

        return run


def restarting(open_store: OpenStore) -> Stores:
    store = _Restarting(open_store)
    ports: Any = {port.name: _Port(store, port.name) for port in fields(Stores)}
    return Stores(**ports)
