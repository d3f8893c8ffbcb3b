"""Commands of the engine are atomic and durable, and fail alone."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.events import CONTEXT
from app.stores.sqlite.engine import SqliteEngine
from tests.stores.engine_table import SCHEMA, Command, StalledDisk, read_all, run_together, write
from tests.stores.full_disk import no_room_to_grow


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1), ("temp_store", 2)],
    ids=["write-ahead log", "synchronous FULL", "secure delete", "memory for temporary data"],
)
async def test_the_connection_has_the_settings_for_durability_and_erasure(
    engine: SqliteEngine, pragma: str, value: object
) -> None:
    assert await engine.run(lambda db: db.execute(f"PRAGMA {pragma}").fetchone()[0]) == value


# --- batches ---


async def test_queued_commands_share_one_commit(engine: SqliteEngine) -> None:
    statements: list[str] = []
    await engine.run(lambda db: db.set_trace_callback(statements.append))
    await run_together(engine, *(write(str(number)) for number in range(100)))
    await engine.run(lambda db: db.set_trace_callback(None))
    assert statements.count("COMMIT") == 2  # the command that started the trace has its own


async def test_1000_commands_run_in_the_order_of_arrival_and_see_earlier_ones(
    engine: SqliteEngine,
) -> None:
    texts = [str(number) for number in range(1000)]
    outcomes = await run_together(
        engine, *map(write, texts[:500]), read_all, *map(write, texts[500:])
    )
    assert outcomes == [*[1] * 500, texts[:500], *[1] * 500]
    assert await engine.run(read_all) == texts


class OwnError(Exception):
    """Not an error of SQLite."""


def _write_and_fail(db: sqlite3.Connection) -> None:
    write("half")(db)
    raise OwnError


@pytest.mark.parametrize(
    ("failing", "error", "cause"),
    [
        (_write_and_fail, OwnError, type(None)),
        (write("a"), StoreUnavailable, sqlite3.IntegrityError),  # the same key a second time
    ],
    ids=["own error", "error of SQLite"],
)
async def test_a_failed_command_leaves_nothing_and_fails_no_other(
    engine: SqliteEngine, failing: Command, error: type, cause: type
) -> None:
    first, failed, last = await run_together(engine, write("a"), failing, write("b"))
    assert (first, type(failed), type(failed.__cause__), last) == (1, error, cause, 1)
    assert await engine.run(read_all) == ["a", "b"]


async def test_the_command_of_a_cancelled_caller_is_committed(engine: SqliteEngine) -> None:
    gone = asyncio.create_task(engine.run(write("a")))
    stayed = asyncio.create_task(engine.run(write("b")))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await stayed == 1
    assert await engine.run(read_all) == ["a", "b"]


# --- faults ---


async def _longest_pause(of: asyncio.Task[Any]) -> float:
    """The longest time in seconds for which the event loop did nothing else."""
    longest = 0.0
    while not of.done():
        began = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - began)
    return longest


@pytest.fixture
def lock(engine: SqliteEngine, file: Path) -> Iterator[sqlite3.Connection]:
    """Another program, in a transaction that writes."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_a_lock_of_another_program_makes_the_store_unavailable_and_blocks_nothing_else(
    engine: SqliteEngine, lock: sqlite3.Connection
) -> None:
    for _ in range(2):
        writing = asyncio.create_task(engine.run(write("a")))
        assert await _longest_pause(writing) < 0.5
        with pytest.raises(StoreUnavailable):
            await writing
    lock.execute("ROLLBACK")
    assert await engine.run(write("b")) == 1
    assert await engine.run(read_all) == ["b"]


async def test_a_lock_that_is_soon_released_is_waited_for(
    engine: SqliteEngine, lock: sqlite3.Connection
) -> None:
    waiting = asyncio.create_task(engine.run(write("a")))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    lock.execute("ROLLBACK")
    assert await waiting == 1


def _allow_pages(more: int) -> Callable[[sqlite3.Connection], None]:
    def command(db: sqlite3.Connection) -> None:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + more}")

    return command


async def test_a_full_disk_fails_writes_and_changes_nothing(engine: SqliteEngine) -> None:
    await engine.run(write("before"))
    await engine.run(_allow_pages(1))
    large = write("large", attachment=bytes(100_000))
    outcomes = await run_together(engine, large, write("small"))
    # SQLite may give up its whole transaction; then no command of the batch has succeeded.
    assert isinstance(outcomes[0], StoreUnavailable)
    told = ["small"] if outcomes[1] == 1 else []
    assert await engine.run(read_all) == ["before", *told]
    await engine.run(_allow_pages(100))
    assert await engine.run(large) == 1


async def test_a_failed_commit_fails_its_batch_and_the_next_one_works(
    engine: SqliteEngine, file: Path
) -> None:
    await engine.run(write("before"))
    with no_room_to_grow(file):
        outcomes = await run_together(engine, write("a"), read_all, write("b"))
    assert [type(each) for each in outcomes] == [StoreUnavailable] * 3
    assert await engine.run(write("after")) == 1
    assert await engine.run(read_all) == ["before", "after"]
    check = await engine.run(lambda db: db.execute("PRAGMA integrity_check").fetchone()[0])
    assert check == "ok"


# A commit that SQLite refuses leaves its transaction open; a full disk takes it away. A reference
# that is checked at the commit brings that about, if the connection is told to check any.
REFERENCES = """
CREATE TABLE notes (text TEXT PRIMARY KEY, attachment BLOB, answers TEXT
    REFERENCES notes (text) DEFERRABLE INITIALLY DEFERRED) STRICT;
COMMIT;
PRAGMA foreign_keys = ON;
BEGIN
"""


async def test_a_refused_commit_fails_its_batch_and_the_next_one_works(file: Path) -> None:
    def response(db: sqlite3.Connection, text: str) -> int:
        return db.execute("INSERT INTO notes VALUES ('answer', NULL, ?)", (text,)).rowcount

    def question(db: sqlite3.Connection) -> int:
        return db.execute("INSERT INTO notes (text) VALUES ('question')").rowcount

    with closing(SqliteEngine(file, [REFERENCES])) as engine:
        outcomes = await run_together(engine, question, lambda db: response(db, "nothing"))
        assert [type(each) for each in outcomes] == [StoreUnavailable] * 2
        outcomes = await run_together(engine, question, lambda db: response(db, "question"))
        assert outcomes == [1, 1]


class FailingOnce:
    """A connection on which one statement fails, once, with an error that is not SQLite's."""

    def __init__(
        self, connection: sqlite3.Connection, statement: str, error: type[BaseException]
    ) -> None:
        self._connection = connection
        self._failures = {statement: error}

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        if error := self._failures.pop(sql, None):
            raise error
        return self._connection.execute(sql, values)


@pytest.mark.parametrize("error", [MemoryError, SystemExit])
@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "COMMIT"])
async def test_no_error_of_the_process_stops_the_engine(
    engine: SqliteEngine, statement: str, error: type[BaseException]
) -> None:
    failing = FailingOnce(engine._connection, statement, error)
    engine._connection = failing  # type: ignore[assignment]
    async with asyncio.timeout(SOON):
        outcomes = await run_together(engine, write("a"), write("b"))
    committed = statement != "COMMIT"  # a batch that cannot begin in the loop is repeated
    assert [type(each) for each in outcomes] == [int if committed else StoreUnavailable] * 2
    assert await engine.run(write("after")) == 1
    assert await engine.run(read_all) == [*("ab" if committed else ""), "after"]


# --- a disk that hangs ---

SOON = 1.5
"""Seconds in which each command is answered, whatever the disk does."""


async def _fails_soon(engine: SqliteEngine, text: str) -> float:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(engine.run(write(text)), timeout=SOON)
    return time.monotonic() - began


async def test_a_disk_that_hangs_fails_all_commands_soon_and_blocks_nothing_else(
    engine: SqliteEngine,
) -> None:
    await engine.run(write("before"))
    async with StalledDisk(engine):
        stuck = asyncio.create_task(_fails_soon(engine, "stuck"))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(_fails_soon(engine, "waiting"))
        await asyncio.sleep(0.1)
        assert [row["text"] for row in engine.read("SELECT text FROM notes", ())] == ["before"]
        assert not waiting.done()
        assert 0.5 < await stuck < SOON
        await waiting
        assert await _fails_soon(engine, "refused") < 0.1
    for _ in range(1000):
        if await run_together(engine, write("after")) == [1]:
            break
        await asyncio.sleep(0.001)
    # A command that had begun may be committed after all; one that had not is dropped.
    assert await engine.run(read_all) == ["before", "stuck", "after"]


async def test_a_failure_of_several_commands_is_not_told_of_one_request(file: Path) -> None:
    told: list[dict[str, str]] = []
    engine = SqliteEngine(file, [SCHEMA], lambda _name: told.append(CONTEXT.get({})))

    async def request(name: str) -> None:
        CONTEXT.set({"request_id": name})
        await _fails_soon(engine, name)

    async with StalledDisk(engine):
        await asyncio.gather(request("a"), request("b"))
    engine.close()
    assert told == [{}, {}]


async def test_closing_does_not_wait_for_a_disk_that_hangs(file: Path) -> None:
    engine = SqliteEngine(file, [SCHEMA])
    async with StalledDisk(engine):
        stuck = asyncio.create_task(_fails_soon(engine, "stuck"))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        engine.close()
        assert time.monotonic() - began < 3
        await stuck


# --- the end ---


async def test_closing_finishes_queued_commands(file: Path) -> None:
    engine = SqliteEngine(file, [SCHEMA])
    begun = asyncio.create_task(engine.run(write("a")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # its commit is in the thread now
    waiting = [asyncio.create_task(engine.run(write(text))) for text in "bc"]
    await asyncio.sleep(0)
    engine.close()
    assert await asyncio.gather(begun, *waiting) == [1, 1, 1]
    with closing(SqliteEngine(file, [SCHEMA])) as reopened:
        assert await reopened.run(read_all) == ["a", "b", "c"]


async def test_a_command_after_closing_is_refused(file: Path) -> None:
    engine = SqliteEngine(file, [SCHEMA])
    engine.close()
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(engine.run(read_all), timeout=1)
    with pytest.raises(StoreUnavailable):
        engine.read("SELECT text FROM notes", ())


def test_a_command_is_committed_even_if_its_event_loop_is_gone(file: Path) -> None:
    async def send(engine: SqliteEngine) -> None:
        task = asyncio.create_task(engine.run(write("a")))
        await asyncio.sleep(0)
        task.cancel()

    with closing(SqliteEngine(file, [SCHEMA])) as engine:
        asyncio.run(send(engine))
    with closing(SqliteEngine(file, [SCHEMA])) as reopened:
        assert asyncio.run(reopened.run(read_all)) == ["a"]
