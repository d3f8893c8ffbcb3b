"""A store that is closed and opened anew around every command, as after a restart.

Commands that overlap share one opening.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from app.sessions.ports import Stores

OpenStore = Callable[[], AbstractContextManager[Stores]]
_PORTS = ("tickets", "sessions", "bans", "history", "maintenance")


class _Opener:
    def __init__(self, open_store: OpenStore) -> None:
        self._open_store = open_store
        self._stack = ExitStack()
        self._users = 0

    @contextmanager
    def store(self) -> Iterator[Stores]:
        if self._users == 0:
            self._stores = self._stack.enter_context(self._open_store())
        self._users += 1
        try:
            yield self._stores
        finally:
            self._users -= 1
            if self._users == 0:
                self._stack.close()


class _RestartingPort:
    def __init__(self, opener: _Opener, port: str) -> None:
        self._opener = opener
        self._port = port

    def __getattr__(self, name: str) -> Any:
        async def command(*args: Any, **kwargs: Any) -> Any:
            with self._opener.store() as stores:
                return await getattr(getattr(stores, self._port), name)(*args, **kwargs)

        return command


def restarting(open_store: OpenStore) -> Stores:
    opener = _Opener(open_store)
    ports: list[Any] = [_RestartingPort(opener, name) for name in _PORTS]
    return Stores(*ports)
