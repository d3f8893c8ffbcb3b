"""The database file: its lock, its connections, and the migrations of its schema."""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from app.errors import StartupError, StoreInUse

_APPLICATION_ID = int.from_bytes(b"tgat", "big")


def take_lock(path: Path) -> int:
    """Return a descriptor that locks out other processes of ours, or raise StartupError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartupError(f"STORE_URL: cannot write beside {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        message = f"STORE_URL: {path} is in use by another process (SQLite serves exactly one)"
        raise StoreInUse(message) from error
    return lock


def open_database(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Open or create the file, and bring its schema up to date. Any thread may use the connection.

    A file that cannot be used is left as it was, and raises StartupError.
    """
    try:
        path.touch(mode=0o600)
        # The engine begins transactions itself.
        connection = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        with ExitStack() as unusable:
            unusable.callback(connection.close)
            _prepare(connection, migrations, path)
            unusable.pop_all()
    except (OSError, sqlite3.Error) as error:
        raise StartupError(f"STORE_URL: {path} is not a SQLite database of ours") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a read-only connection to an open database. Any thread may use it."""
    url = f"{path.resolve().as_uri()}?mode=ro"
    reader = sqlite3.connect(
        url, uri=True, timeout=0, isolation_level=None, check_same_thread=False
    )
    reader.row_factory = sqlite3.Row
    return reader


def _prepare(connection: sqlite3.Connection, migrations: Sequence[str], path: Path) -> None:
    # Checked before the first write, so that another program's database stays unchanged.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (program,) = connection.execute("PRAGMA application_id").fetchone()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if (program, bool(found)) != ((_APPLICATION_ID, True) if tables else (0, False)):
        raise StartupError(f"STORE_URL: {path} is the database of another program")
    if found > len(migrations):
        raise StartupError(f"STORE_URL: {path} was written by a newer version (schema {found})")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StartupError(f"STORE_URL: {path} cannot use write-ahead logging")
    # FULL: an acknowledged commit survives power loss, not only the end of the process.
    connection.execute("PRAGMA synchronous = FULL")
    # A large savepoint would need a temporary file, which a read-only root file system refuses.
    connection.execute("PRAGMA temp_store = MEMORY")
    # Changed pages stay in memory until COMMIT, so that the loop does not write.
    connection.execute("PRAGMA cache_spill = OFF")
    # Deleted data is overwritten.
    connection.execute("PRAGMA secure_delete = ON")
    for version, script in enumerate(migrations[found:], start=found + 1):
        marks = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {version}"
        connection.executescript(f"BEGIN; {script}; {marks}; COMMIT")
    # From now on the event loop uses the connection, and must not wait for a lock.
    connection.execute("PRAGMA busy_timeout = 0")
