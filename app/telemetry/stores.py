"""Wraps the commands of a port, to measure or to trace them, whichever adapter is behind it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import fields
from inspect import iscoroutinefunction
from types import SimpleNamespace
from typing import Any, TypeAlias

from app.sessions.ports import Stores

Command: TypeAlias = Callable[..., Awaitable[Any]]
Wrap: TypeAlias = Callable[[str, Command], Command]
"""Gets the name of a command and the command."""


def wrapped_stores(stores: Stores, wrap: Wrap) -> Stores:
    """Return the same ports with each command wrapped."""
    ports = {port.name: getattr(stores, port.name) for port in fields(stores)}
    return Stores(**{name: wrapped(port, wrap) for name, port in ports.items()})


def wrapped(port: object, wrap: Wrap) -> Any:
    """Return a port with the same commands, each of them wrapped."""
    public = {name: getattr(port, name) for name in dir(port) if not name.startswith("_")}
    return SimpleNamespace(
        **{name: wrap(name, each) for name, each in public.items() if iscoroutinefunction(each)}
    )


def timed(observe: Callable[[str, float], None]) -> Wrap:
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
