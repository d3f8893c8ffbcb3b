"""Where the sessions of a service are kept: what lies there, and how it is broken."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import redis

from tests.support.valkey.program import ProgramMissing
from tests.support.valkey.servers import standalone


@dataclass(frozen=True)
class Keeper:
    """`url` is a STORE_URL, `secrets` is what is secret in it.

    `at_rest` gives all that lies there, as text of which each character is a byte; `break_down`
    leaves a store that cannot be used.
    """

    url: str
    secrets: dict[str, str]
    at_rest: Callable[[], str]
    break_down: Callable[[], None]


Open: TypeAlias = Callable[[Path], AbstractContextManager[Keeper]]


@contextmanager
def sqlite_file(folder: Path) -> Iterator[Keeper]:
    file = folder / "sessions.db"

    def at_rest() -> str:
        return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("sessions.db*"))

    def break_down() -> None:
        with closing(sqlite3.connect(file)) as database:
            database.execute("DROP TABLE sessions")

    yield Keeper(f"sqlite:///{file}", {}, at_rest, break_down)


@contextmanager
def redis_with_a_password(folder: Path) -> Iterator[Keeper]:
    password = "c4nary-of-redis-31622776601683793319"
    home = folder / "valkey"
    try:
        server = standalone(home, extra=("--rdbcompression", "no"))
        with server as running:
            running.cli("CONFIG", "SET", "requirepass", password)
            url = f"redis://:{password}@127.0.0.1:{running.port}/0"

            def at_rest() -> str:
                with closing(redis.Redis.from_url(url)) as client:
                    client.save()
                return (home / "dump.rdb").read_bytes().decode("latin-1")

            yield Keeper(url, {"redis-password": password}, at_rest, running.kill)
    except ProgramMissing as missing:
        pytest.skip(str(missing))
