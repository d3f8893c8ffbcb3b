"""The stores that the contract is tested against. A new one is one more entry here.

A factory gets an empty folder and gives an open store. The tests in `contract` know the ports only.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from app.sessions.ports import Stores
from app.stores.sqlite import open_sqlite_store

StoreFactory: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Stores]]
Call: TypeAlias = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Stores]:
    with open_sqlite_store(folder / "sessions.db") as stores:
        yield stores


@asynccontextmanager
async def sqlite_restarting(folder: Path) -> AsyncIterator[Stores]:
    yield stores_over(_Restarting(folder / "sessions.db").call)


FACTORIES: dict[str, StoreFactory] = {"sqlite": sqlite, "sqlite-restarting": sqlite_restarting}

SERVERS = {"valkey": "valkey", "valkey-sentinels": "valkey_sentinels"}
"""The stores behind real servers, by the fixture that starts them."""


class _Port:
    def __init__(self, name: str, call: Call) -> None:
        self._name, self._call = name, call

    def __getattr__(self, command: str) -> Any:
        return partial(self._call, self._name, command)


def stores_over(call: Call) -> Stores:
    """Stores whose commands are `call(port, command, ...)`."""
    ports: Any = {port.name: _Port(port.name, call) for port in fields(Stores)}
    return Stores(**ports)


class _Restarting:
    """Opens a store for each command, as after a restart. Overlapping ones share one opening."""

    def __init__(self, file: Path) -> None:
        self._file, self._stack, self._users = file, ExitStack(), 0

    async def call(self, port: str, command: str, *args: Any, **more: Any) -> Any:
        if self._users == 0:
            self._stores = self._stack.enter_context(open_sqlite_store(self._file))
        self._users += 1
        try:
            return await getattr(getattr(self._stores, port), command)(*args, **more)
        finally:
            self._users -= 1
            if self._users == 0:
                self._stack.close()
