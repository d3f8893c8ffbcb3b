"""Measures the commands of a store, whichever it is."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import fields
from inspect import iscoroutinefunction
from types import SimpleNamespace
from typing import Any, TypeAlias

from app.sessions.ports import Stores

Command: TypeAlias = Callable[..., Awaitable[Any]]


def wrapped(stores: Stores, wrap: Callable[[str, Command], Command]) -> Stores:
    """Return the same ports, each command of which is wrapped. `wrap` gets its name too."""
    ports = {port.name: getattr(stores, port.name) for port in fields(stores)}
    return Stores(**{name: _wrapped(port, wrap) for name, port in ports.items()})


def _wrapped(port: object, wrap: Callable[[str, Command], Command]) -> Any:
    public = {name: getattr(port, name) for name in dir(port) if not name.startswith("_")}
    return SimpleNamespace(
        **{name: wrap(name, each) for name, each in public.items() if iscoroutinefunction(each)}
    )


def timed(observe: Callable[[str, float], None]) -> Callable[[str, Command], Command]:
    """Return a wrapper that tells `observe` the name of each command and its seconds."""

    def wrap(name: str, command: Command) -> Command:
        async def run(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return await command(*args, **kwargs)
            finally:
                observe(name, time.perf_counter() - started)

        return run

    return wrap
