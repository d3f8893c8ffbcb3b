"""Stores of a running service: their content as text, and a way to break them."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import redis

from tests.support.valkey.process import ProgramMissing
from tests.support.valkey.servers import standalone


@dataclass(frozen=True)
class Backend:
    """`url` is a STORE_URL, `secrets` is what is secret in it.

    `content` gives every byte of the store as one character; `break_store` makes it unusable.
    """

    url: str
    secrets: dict[str, str]
    content: Callable[[], str]
    break_store: Callable[[], None]


Open: TypeAlias = Callable[[Path], AbstractContextManager[Backend]]


@contextmanager
def sqlite_file(folder: Path) -> Iterator[Backend]:
    file = folder / "sessions.db"

    def content() -> str:
        return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("sessions.db*"))

    def break_store() -> None:
        with closing(sqlite3.connect(file)) as database:
            database.execute("DROP TABLE sessions")

    yield Backend(f"sqlite:///{file}", {}, content, break_store)


@contextmanager
def redis_with_a_password(folder: Path) -> Iterator[Backend]:
    password = "c4nary-of-redis-31622776601683793319"
    home = folder / "valkey"
    try:
        server = standalone(home, extra=("--rdbcompression", "no"))
        with server as running:
            running.cli("CONFIG", "SET", "requirepass", password)
            url = f"redis://:{password}@127.0.0.1:{running.port}/0"

            def content() -> str:
                with closing(redis.Redis.from_url(url)) as client:
                    client.save()
                return (home / "dump.rdb").read_bytes().decode("latin-1")

            yield Backend(url, {"redis-password": password}, content, running.kill)
    except ProgramMissing as missing:
        pytest.skip(str(missing))
