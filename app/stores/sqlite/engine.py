"""One SQLite file, one connection, one thread: every command is atomic and durable.

Commands are functions over the connection. All queued commands share one transaction and one
fsync, and return after the commit (group commit). Each command has its own savepoint, so a failed
one does not affect the others. The engine knows nothing of sessions.

There is one connection only. SQLite libraries before 3.51.3 can corrupt a write-ahead log that two
connections reset at once (sqlite.org/wal.html#walresetbug), and distributions ship such libraries.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from app.errors import StartupError, StoreInUse, StoreUnavailable

T = TypeVar("T")
P = ParamSpec("P")
_APPLICATION_ID = int.from_bytes(b"tgat", "big")
_BATCH = 256
_BUSY_SECONDS = 1.0


@dataclass(slots=True)
class _Job:
    command: Callable[[sqlite3.Connection], Any]
    scrub: bool = False
    future: Future[Any] = field(default_factory=Future)
    result: Any = None


class SqliteEngine:
    """Runs commands against one file, which one process uses at a time."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        on_failure: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Open or create the file; take the lock; bring the schema up to date; start the thread.

        `on_failure` gets SQLite's name of the error of each failed command, in the thread.

        Raises:
            StartupError: another process has the file, or another program made it.
        """
        self._lock = _take_lock(path.resolve())  # one lock for one file, under any of its names
        try:
            self._connection = _open(path, migrations)
        except BaseException:
            os.close(self._lock)
            raise
        self._on_failure = on_failure
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._close_lock = Lock()
        self._closed = False
        self._thread = Thread(target=self._work, name="sqlite")
        self._thread.start()

    async def run(self, command: Callable[[sqlite3.Connection], T], *, scrub: bool = False) -> T:
        """Run the command; return its result after the commit.

        The command runs even if its caller is cancelled. With `scrub` the write-ahead log is
        emptied too, because it may contain the data that the command erased.

        Raises:
            StoreUnavailable: SQLite failed, and the command has changed nothing.
        """
        job = _Job(command, scrub)
        with self._close_lock:
            if self._closed:
                raise StoreUnavailable
            self._queue.put(job)
        result: T = await asyncio.wrap_future(job.future)
        return result

    def close(self) -> None:
        """Finish queued commands, then release the file. Blocks until then."""
        with self._close_lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()
        os.close(self._lock)

    def _work(self) -> None:
        running = True
        while running:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and batch[-1] is not None:
                try:
                    batch.append(self._queue.get_nowait())
                except Empty:
                    break
            running = batch[-1] is not None
            self._commit([job for job in batch if job is not None])

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._run_in_savepoint(job)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._connection.rollback()
            for job in jobs:
                job.result = error
        if any(job.scrub for job in jobs):
            with suppress(sqlite3.Error):  # the commit stands; the next checkpoint empties the log
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for job in jobs:
            if isinstance(job.result, sqlite3.Error):
                self._on_failure(getattr(job.result, "sqlite_errorname", "SQLITE_MISUSE"))
            _resolve(job)

    def _run_in_savepoint(self, job: _Job) -> None:
        self._connection.execute("SAVEPOINT command")
        try:
            job.result = job.command(self._connection)
        except Exception as error:  # noqa: BLE001  # any exception is for the caller
            self._connection.execute("ROLLBACK TO command")
            job.result = error
        self._connection.execute("RELEASE command")


class _HasEngine(Protocol):
    @property
    def _engine(self) -> SqliteEngine: ...


S = TypeVar("S", bound=_HasEngine)


def command(
    method: Callable[Concatenate[S, sqlite3.Connection, P], T],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Turn a method over a connection into a store command: one durable transaction."""

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.run(lambda db: method(self, db, *args, **kwargs))

    return run


def _resolve(job: _Job) -> None:
    if not job.future.set_running_or_notify_cancel():
        return  # the caller was cancelled; the command is committed
    if isinstance(job.result, sqlite3.Error):
        unavailable = StoreUnavailable()
        unavailable.__cause__ = job.result
        job.future.set_exception(unavailable)
    elif isinstance(job.result, Exception):
        job.future.set_exception(job.result)
    else:
        job.future.set_result(job.result)


def _take_lock(path: Path) -> int:
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


def _open(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    connection = None
    try:
        path.touch(mode=0o600)
        # The engine begins transactions itself. Another thread than this one uses the connection.
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        _prepare(connection, migrations)
    except (OSError, sqlite3.Error, _UnusableFile) as error:
        if connection is not None:
            connection.close()
        reason = error if isinstance(error, _UnusableFile) else "is not a SQLite database of ours"
        raise StartupError(f"STORE_URL: {path} {reason}") from error
    return connection


class _UnusableFile(Exception):
    """The file is a database that cannot be used; the text says why."""


def _prepare(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    # Checked before the first write, so that another program's database stays unchanged.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (program,) = connection.execute("PRAGMA application_id").fetchone()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if (program, bool(found)) != ((_APPLICATION_ID, True) if tables else (0, False)):
        raise _UnusableFile("is the database of another program")
    if found > len(migrations):
        raise _UnusableFile(f"was written by a newer version (schema {found})")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise _UnusableFile("cannot use write-ahead logging")
    # FULL: an acknowledged commit survives power loss, not only the end of the process.
    connection.execute("PRAGMA synchronous = FULL")
    # A large savepoint would need a temporary file, which a read-only root file system refuses.
    connection.execute("PRAGMA temp_store = MEMORY")
    # Deleted data is overwritten.
    connection.execute("PRAGMA secure_delete = ON")
    for version, script in enumerate(migrations[found:], start=found + 1):
        marks = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {version}"
        connection.executescript(f"BEGIN; {script}; {marks}; COMMIT")
