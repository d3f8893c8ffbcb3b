"""One SQLite file: every command is atomic and durable, and no read waits for a write.

Commands are functions over the connection. All queued commands share one transaction and one
fsync, and return after the commit (group commit).

A statement takes microseconds, so commands run in the event loop. Only COMMIT waits for the disk,
so it runs in a thread. The loop does not use the connection meanwhile, because sqlite3 locks a
connection during a statement. If a command fails, the thread runs its whole batch again, with a
savepoint for each command, so that a failed one does not affect the others.

Reads have a read-only connection. SQLite libraries before 3.51.3 can corrupt a file if one
connection checkpoints the write-ahead log while another one commits and resets it
(sqlite.org/wal.html#walresetbug). Here one connection does both, one after the other.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from app.errors import StoreUnavailable
from app.stores.sqlite.database import open_database, open_reader, take_lock

T = TypeVar("T")
P = ParamSpec("P")
Command: TypeAlias = Callable[[sqlite3.Connection], T]
_BATCH = 256
_TIMEOUT, _CLOSE_SECONDS = 1.0, 2.0
"""Seconds for one commit, and for those at the end. A longer one fails all queued commands too."""
_BUSY_MS = 800
"""How long the thread waits for the lock of another program."""


@dataclass(slots=True)
class _Job:
    command: Command[Any]
    scrub: bool
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class _Batch:
    """`executed`: its commands have run in the loop, so only COMMIT is left."""

    jobs: Sequence[_Job]
    executed: bool
    done: bool = False


class SqliteEngine:
    """Runs commands of one event loop against one file, which one process uses at a time."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        on_failure: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Open or create the file, or raise StartupError. `on_failure` gets names of errors."""
        self._lock = take_lock(path.resolve())  # one lock for one file, under any of its names
        try:
            self._connection = open_database(path, migrations)
        except BaseException:
            os.close(self._lock)
            raise
        self._reader = open_reader(path)
        self._on_failure = on_failure
        self._waiting: list[_Job] = []
        self._busy = self._stalled = self._closed = False
        self._batches: SimpleQueue[_Batch | None] = SimpleQueue()
        # A daemon: a disk that hangs must not keep the process from its end.
        self._thread = Thread(target=self._work, name="sqlite", daemon=True)
        self._thread.start()

    async def run(self, command: Command[T], *, scrub: bool = False) -> T:
        """Run the command; return its result after the commit.

        The command runs even if its caller is cancelled. It may run twice, and the first run is
        undone; so it must do nothing but use the connection. With `scrub` the thread runs it, and
        then empties the write-ahead log, because the log may contain the data that was erased.

        After StoreUnavailable the command has changed nothing. Only if the disk hangs, a command
        that had begun may still be committed.
        """
        if self._closed or self._stalled:
            raise StoreUnavailable
        loop = asyncio.get_running_loop()
        job = _Job(command, scrub, loop.create_future())
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            # A batch has commands of several requests. So its events have no request's fields.
            loop.call_soon(self._start_batch, context=Context())
        result: T = await job.future
        return result

    def read(self, sql: str, values: Sequence[Any]) -> Sequence[sqlite3.Row]:
        """Return the rows of a query, which sees all commands that have returned."""
        if self._closed:
            raise StoreUnavailable
        try:
            return self._reader.execute(sql, values).fetchall()
        except (sqlite3.Error, MemoryError) as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Finish queued commands, then release the file. Call it in the thread of the loop.

        If the disk hangs, it gives up after two seconds; the end of the process releases the file.
        """
        self._closed = True
        while jobs := self._next_jobs():
            self._batches.put(_Batch(jobs, executed=False))
        self._batches.put(None)
        self._thread.join(_CLOSE_SECONDS)
        self._reader.close()  # the last connection checkpoints the log, and this one cannot
        if not self._thread.is_alive():
            self._connection.close()
            os.close(self._lock)

    def _next_jobs(self) -> Sequence[_Job]:
        jobs, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        return jobs

    def _start_batch(self) -> None:
        jobs = self._next_jobs()
        self._busy = bool(jobs)
        if jobs:
            batch = _Batch(jobs, executed=self._execute(jobs))
            self._batches.put(batch)
            asyncio.get_running_loop().call_later(_TIMEOUT, self._fail_if_stalled, batch)

    def _execute(self, jobs: Sequence[_Job]) -> bool:
        if any(job.scrub for job in jobs):
            return False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                job.result = job.command(self._connection)
        except BaseException:  # noqa: BLE001  # the thread repeats it, and finds which one fails
            return False
        return True

    def _fail_if_stalled(self, batch: _Batch) -> None:
        if batch.done:
            return
        self._stalled = True
        for job in (*batch.jobs, *self._waiting):
            self._resolve(job, TimeoutError())
        self._waiting.clear()

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            failure = self._commit(batch)
            with suppress(RuntimeError):  # the loop is closed: there is no caller
                loop = batch.jobs[0].future.get_loop()
                loop.call_soon_threadsafe(self._finish_batch, batch, failure)
            batch.done = True

    def _commit(self, batch: _Batch) -> BaseException | None:
        try:
            if batch.executed:
                self._connection.execute("COMMIT")
            else:
                self._repeat(batch.jobs)
        except BaseException as error:  # noqa: BLE001  # the thread must live on
            with suppress(BaseException):
                self._connection.rollback()
            return error
        return None

    def _repeat(self, jobs: Sequence[_Job]) -> None:
        self._connection.rollback()
        self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._execute_in_savepoint(job)
            self._connection.execute("COMMIT")
            if any(job.scrub for job in jobs):
                with suppress(Exception):  # the commit stands; the next checkpoint empties it
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")

    def _execute_in_savepoint(self, job: _Job) -> None:
        self._connection.execute("SAVEPOINT command")
        try:
            job.result = job.command(self._connection)
        except Exception as error:  # noqa: BLE001  # any exception is for the caller
            self._connection.execute("ROLLBACK TO command")
            job.error = error
        self._connection.execute("RELEASE command")

    def _finish_batch(self, batch: _Batch, failure: BaseException | None) -> None:
        self._stalled = False
        for job in batch.jobs:
            self._resolve(job, failure)
        self._start_batch()

    def _resolve(self, job: _Job, failure: BaseException | None) -> None:
        error = failure or job.error
        if failure is not None or isinstance(error, (sqlite3.Error, MemoryError)):
            error = self._unavailable(error)
        if job.future.done():  # the caller was cancelled, or the disk was too slow for it
            return
        if error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(error)

    def _unavailable(self, error: BaseException | None) -> StoreUnavailable:
        self._on_failure(getattr(error, "sqlite_errorname", type(error).__name__))
        unavailable = StoreUnavailable()
        unavailable.__cause__ = error
        return unavailable


class SqlitePort:
    """What the ports over one SQLite file have in common."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine


S = TypeVar("S", bound=SqlitePort)
Method: TypeAlias = Callable[Concatenate[S, sqlite3.Connection, P], T]
StoreMethod: TypeAlias = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def command(method: Method[S, P, T]) -> StoreMethod[S, P, T]:
    """Turn a method over a connection into a store command: one durable transaction."""

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.run(lambda db: method(self, db, *args, **kwargs))

    return run
