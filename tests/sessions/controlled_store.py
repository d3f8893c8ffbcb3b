"""A real SQLite store that a test can make unreachable, look into, and set back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from app.errors import StoreUnavailable
from app.sessions.ports import Stores
from app.stores.sqlite import open_sqlite_store

Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]
EMPTY: Rows = {"sessions": [], "tickets": [], "bans": [], "notes": []}


@dataclass
class ControlledStore:
    """`down` makes every command of `ports` raise StoreUnavailable."""

    real: Stores
    path: Path
    down: bool = False

    @property
    def ports(self) -> Stores:
        ports: list[Any] = [_Port(self, getattr(self.real, port.name)) for port in fields(Stores)]
        return Stores(*ports)

    def rows(self) -> Rows:
        with closing(sqlite3.connect(self.path)) as db:
            return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in EMPTY}  # noqa: S608  # constants

    def restore(self, rows: Rows) -> None:
        """Lose every write since these rows were read."""
        with closing(sqlite3.connect(self.path)) as db, db:
            for table, kept in rows.items():
                db.execute(f"DELETE FROM {table}")  # noqa: S608  # constants
                for row in kept:
                    places = ", ".join("?" * len(row))
                    db.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608  # constants


class _Port:
    def __init__(self, store: ControlledStore, port: Any) -> None:
        self._store = store
        self._port = port

    def __getattr__(self, name: str) -> Any:
        async def command(*args: Any, **kwargs: Any) -> Any:
            if self._store.down:
                raise StoreUnavailable
            return await getattr(self._port, name)(*args, **kwargs)

        return command


@contextmanager
def controlled_store(path: Path) -> Iterator[ControlledStore]:
    with open_sqlite_store(path) as real:
        yield ControlledStore(real, path)
