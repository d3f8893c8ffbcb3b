"""Commands over a table of notes, and a way to have several in one batch of the engine."""

import asyncio
import sqlite3
from collections.abc import Callable
from threading import Event
from typing import Any, TypeAlias

from app.stores.sqlite.engine import SqliteEngine

Command: TypeAlias = Callable[[sqlite3.Connection], Any]

SCHEMA = "CREATE TABLE notes (text TEXT PRIMARY KEY, attachment BLOB) STRICT"
_PATIENCE = 10.0


def write(text: str, *, attachment: bytes = b"") -> Command:
    sql = "INSERT INTO notes VALUES (?, ?)"
    return lambda db: db.execute(sql, (text, attachment)).rowcount


def read_all(db: sqlite3.Connection) -> list[str]:
    return [row["text"] for row in db.execute("SELECT text FROM notes ORDER BY rowid")]


class HeldUp:
    """Blocks the engine with one command, so that later commands queue up."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._started, self._released = Event(), Event()
        self._engine = engine

    async def __aenter__(self) -> None:
        self._holding = asyncio.create_task(self._engine.run(self._hold))
        await asyncio.to_thread(self._started.wait, _PATIENCE)

    async def __aexit__(self, *_exception: object) -> None:
        await asyncio.sleep(0)  # tasks made meanwhile send their commands
        self._released.set()
        await self._holding

    def _hold(self, _db: sqlite3.Connection) -> None:
        self._started.set()
        self._released.wait(_PATIENCE)


async def run_together(engine: SqliteEngine, *commands: Command) -> list[Any]:
    """Run commands in one batch; exceptions are returned in their places."""
    async with HeldUp(engine):
        waiting = [asyncio.create_task(engine.run(command)) for command in commands]
    return await asyncio.gather(*waiting, return_exceptions=True)
