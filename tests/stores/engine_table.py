"""Commands over a table of notes, and a disk that hangs at the next commit."""

import asyncio
import sqlite3
from collections.abc import Callable
from threading import Event
from typing import Any, TypeAlias

from app.stores.sqlite.engine import SqliteEngine

Command: TypeAlias = Callable[[sqlite3.Connection], Any]

SCHEMA = "CREATE TABLE notes (text TEXT PRIMARY KEY, attachment BLOB) STRICT"
PATIENCE = 30.0
"""Seconds for a commit, where a test is not about time and the machine may be busy."""


def write(text: str, *, attachment: bytes = b"") -> Command:
    sql = "INSERT INTO notes VALUES (?, ?)"
    return lambda db: db.execute(sql, (text, attachment)).rowcount


def read_all(db: sqlite3.Connection) -> list[str]:
    return [row["text"] for row in db.execute("SELECT text FROM notes ORDER BY rowid")]


async def run_together(engine: SqliteEngine, *commands: Command) -> list[Any]:
    """Run commands in one batch; exceptions are returned in their places."""
    return await asyncio.gather(*map(engine.run, commands), return_exceptions=True)


class StalledDisk:
    """COMMIT does not return, and keeps its connection, until the block is left."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine
        self._stalls = False
        self._released = Event()

    async def __aenter__(self) -> None:
        await self._engine.run(lambda db: db.set_trace_callback(self._trace))
        self._stalls = True

    async def __aexit__(self, *_exception: object) -> None:
        self._released.set()

    def _trace(self, statement: str) -> None:
        if self._stalls and statement == "COMMIT":
            self._released.wait(PATIENCE)
