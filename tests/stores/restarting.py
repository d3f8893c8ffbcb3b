"""A store that is closed and opened anew around every command, as after a restart."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from app.sessions.ports import Stores


class _RestartingPort:
    """One port of such a store."""

    def __init__(self, open_store: Callable[[], AbstractContextManager[Stores]], port: str) -> None:
        self._open_store = open_store
        self._port = port

    def __getattr__(self, name: str) -> Any:
        async def command(*args: Any, **kwargs: Any) -> Any:
            with self._open_store() as stores:
                return await getattr(getattr(stores, self._port), name)(*args, **kwargs)

        return command


def restarting(open_store: Callable[[], AbstractContextManager[Stores]]) -> Stores:
    ports: list[Any] = [
        _RestartingPort(open_store, port) for port in ("tickets", "sessions", "bans", "maintenance")
    ]
    return Stores(*ports)
