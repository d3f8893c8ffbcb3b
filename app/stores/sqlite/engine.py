"""One SQLite file, one connection, one thread: every command atomic, durable, and cheap.

Commands are plain functions over the connection. Whatever waits goes into one transaction and one
fsync, and everybody is answered after the commit (group commit); each command has a savepoint of
its own, so one that fails takes nobody with it. It knows nothing of sessions.

One connection only, for a reason beyond simplicity: SQLite libraries before 3.51.3 can corrupt a
WAL that two connections reset at once (sqlite.org/wal.html#walresetbug), and distributions ship
such libraries.
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

from app.errors import StartupError, StoreUnavailable

T = TypeVar("T")
P = ParamSpec("P")
_APPLICATION_ID = int.from_bytes(b"tgat", "big")
_BATCH = 256
_BUSY_SECONDS = 1.0


@dataclass(slots=True)
class _Job:
    command: Callable[[sqlite3.Connection], Any]
    scrub: bool = False
    answer: Future[Any] = field(default_factory=Future)
    result: Any = None


class SqliteEngine:
    """Runs commands against one file, for this process alone."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        """Open or create the file; take the lock; bring the schema up to date; start the thread.

        Raises:
            StartupError: another process has it, or it is not a file of ours.
        """
        self._lock = _take_lock(path.resolve())  # one file, one lock, by whatever name
        try:
            self._connection = _open(path, migrations)
        except BaseException:
            os.close(self._lock)
            raise
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._door = Lock()
        self._closed = False
        self._thread = Thread(target=self._work, name="sqlite")
        self._thread.start()

    async def run(self, command: Callable[[sqlite3.Connection], T], *, scrub: bool = False) -> T:
        """Run the command; return its result once it is on the disk.

        A caller that is cancelled does not stop it. With `scrub` the write-ahead log is emptied
        too, where what the command erased would stand until something overwrites it.

        Raises:
            StoreUnavailable: SQLite could not do it; it has changed nothing.
        """
        job = _Job(command, scrub)
        with self._door:
            if self._closed:
                raise StoreUnavailable
            self._queue.put(job)
        result: T = await asyncio.wrap_future(job.answer)
        return result

    def close(self) -> None:
        """Finish what waits, then let go of the file. Blocks for that long."""
        with self._door:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()
        os.close(self._lock)

    def _work(self) -> None:
        open_for_more = True
        while open_for_more:
            waiting = [self._queue.get()]
            while len(waiting) < _BATCH and waiting[-1] is not None:
                try:
                    waiting.append(self._queue.get_nowait())
                except Empty:
                    break
            open_for_more = waiting[-1] is not None
            self._commit([job for job in waiting if job is not None])

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._attempt(job)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._connection.rollback()
            for job in jobs:
                job.result = error
        if any(job.scrub for job in jobs):
            with suppress(sqlite3.Error):  # what is committed stays so; the next checkpoint will do
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for job in jobs:
            _answer(job)

    def _attempt(self, job: _Job) -> None:
        self._connection.execute("SAVEPOINT command")
        try:
            job.result = job.command(self._connection)
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to its caller
            self._connection.execute("ROLLBACK TO command")
            job.result = error
        self._connection.execute("RELEASE command")


class _OverEngine(Protocol):
    @property
    def _engine(self) -> SqliteEngine: ...


S = TypeVar("S", bound=_OverEngine)


def command(
    method: Callable[Concatenate[S, sqlite3.Connection, P], T],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a store command of a method that is given a connection: one transaction, durable."""

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.run(lambda db: method(self, db, *args, **kwargs))

    return run


def _answer(job: _Job) -> None:
    if not job.answer.set_running_or_notify_cancel():
        return  # the caller has gone; the work is done all the same
    if isinstance(job.result, sqlite3.Error):
        unavailable = StoreUnavailable()
        unavailable.__cause__ = job.result
        job.answer.set_exception(unavailable)
    elif isinstance(job.result, Exception):
        job.answer.set_exception(job.result)
    else:
        job.answer.set_result(job.result)


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
        raise StartupError(message) from error
    return lock


def _open(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    connection = None
    try:
        path.touch(mode=0o600)
        # Transactions are ours; the thread that works is not the one that opens.
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        _prepare(connection, migrations)
    except (OSError, sqlite3.Error, _NotOurs) as error:
        if connection is not None:
            connection.close()
        reason = error if isinstance(error, _NotOurs) else "is not a SQLite database of ours"
        raise StartupError(f"STORE_URL: {path} {reason}") from error
    return connection


class _NotOurs(Exception):
    """The file is a database, but not one to work with; the text says why."""


def _prepare(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    # Looked at before anything is written: another program's database is left as it was.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (program,) = connection.execute("PRAGMA application_id").fetchone()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if (program, bool(found)) != ((_APPLICATION_ID, True) if tables else (0, False)):
        raise _NotOurs("is the database of another program")
    if found > len(migrations):
        raise _NotOurs(f"was written by a newer version (schema {found})")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise _NotOurs("cannot use write-ahead logging")
    # FULL: an acknowledged commit survives power loss, not only the end of the process.
    connection.execute("PRAGMA synchronous = FULL")
    # A savepoint that grows spills into a temporary file; a read-only root has no place for one.
    connection.execute("PRAGMA temp_store = MEMORY")
    # What is erased is overwritten, not only unlinked.
    connection.execute("PRAGMA secure_delete = ON")
    for version, script in enumerate(migrations[found:], start=found + 1):
        marks = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {version}"
        connection.executescript(f"BEGIN; {script}; {marks}; COMMIT")
